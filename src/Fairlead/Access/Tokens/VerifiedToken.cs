using Microsoft.IdentityModel.JsonWebTokens;

namespace Fairlead.Access.Tokens;

/// <summary>A token whose signature is right, with the keys that verified it. Immutable.</summary>
/// <param name="Token">The token.</param>
/// <param name="Keys">Its issuer.</param>
/// <param name="Set">The issuer's keys at that time.</param>
internal sealed record VerifiedToken(JsonWebToken Token, IssuerKeys Keys, IssuerKeySet Set);
