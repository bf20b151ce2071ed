using Fairlead.Errors;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Fairlead.Access.Tokens;

/// <summary>
/// Verifies a token: 1. its size and form, 2. its issuer, 3. its algorithm, 4. its signature by the issuer's keys, 5. audience and times.
/// The library does 4 and 5 with settings that are as strict as they can be. Thread-safe.
/// </summary>
internal sealed class TokenVerifier(TimeProvider time)
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);

    // Its own limit of the size is larger than every limit here.
    private readonly JsonWebTokenHandler _handler = new() { MapInboundClaims = false };

    /// <summary>The verified token, or why it is refused. Messages contain nothing of the token.</summary>
    /// <param name="text">What was presented.</param>
    /// <param name="issuers">The configured issuers, by <c>iss</c>.</param>
    /// <param name="cancellationToken">Stops the wait for the keys of the issuer.</param>
    public async ValueTask<(VerifiedToken? Token, GatewayError? Error)> VerifyAsync(
        string text, IReadOnlyDictionary<string, IssuerKeys> issuers, CancellationToken cancellationToken)
    {
        // 1. and 2.
        if (!issuers.Values.Any(one => text.Length <= one.Issuer.MaxTokenSize)) return Refuse("The token is too large.");
        if (Parse(text) is not { } token) return Refuse("This is not a readable JSON Web Token.");
        if (!issuers.TryGetValue(token.Issuer, out var keys)) return Refuse("The token is from an issuer that this server does not accept.");
        var issuer = keys.Issuer;
        if (text.Length > issuer.MaxTokenSize) return Refuse("The token is too large.");

        // 3. Before any key is read: a token that can never be valid must not cause a request to its issuer.
        if (!issuer.Algorithms.Contains(token.Alg)) return Refuse("The token is signed with an algorithm that is not accepted.");

        // 4.
        if (await keys.ForAsync(token.Kid, cancellationToken) is not { } set)
        {
            return (null, new GatewayError(ErrorCode.StoreUnavailable, "The signing keys of the token's issuer cannot be read at the moment.")
            {
                RetryAfter = RetryAfter,
            });
        }
        if (!set.Has(token.Kid)) return Refuse("The token is signed with a key that its issuer does not have.");
        var result = await _handler.ValidateTokenAsync(token, Parameters(issuer, set));

        // 5.
        if (!result.IsValid) return (null, ErrorOf(result.Exception));
        if (issuer.IssuedAfter is { } start && IssuedAt(token) is var issued && (issued is null || issued < start))
            return Refuse("The token was issued before the time from which its issuer's tokens are accepted.");
        return (new VerifiedToken(token, keys, set), null);
    }

    private TokenValidationParameters Parameters(IssuerConfig issuer, IssuerKeySet set) => new()
    {
        ValidIssuer = issuer.Issuer,
        ValidAudiences = issuer.Audiences,
        ValidAlgorithms = issuer.Algorithms,
        IssuerSigningKeys = set.Keys,
        // A token with a key id is verified with that key only.
        TryAllIssuerSigningKeys = false,
        IssuerSigningKeyResolver = (_, _, keyId, _) =>
            string.IsNullOrEmpty(keyId) ? set.Keys : set.Keys.Where(key => key.KeyId == keyId),
        RequireSignedTokens = true,
        RequireExpirationTime = true,
        RequireAudience = true,
        ValidateIssuer = true,
        ValidateAudience = true,
        ValidateLifetime = true,
        LifetimeValidator = (from, until, _, _) => IsInTime(from, until, issuer.ClockSkew),
        IncludeTokenOnFailedValidation = false,
        LogValidationExceptions = false,
    };

    private bool IsInTime(DateTime? from, DateTime? until, TimeSpan skew)
    {
        var now = time.GetUtcNow().UtcDateTime;
        if (until is not { } end) throw new SecurityTokenNoExpirationException();
        // Compared by differences: a token may have the last day that there is.
        if (now - end >= skew) throw new SecurityTokenExpiredException();
        if (from is { } start && start - now > skew) throw new SecurityTokenNotYetValidException();
        return true;
    }

    private static DateTime? IssuedAt(JsonWebToken token) => token.IssuedAt == DateTime.MinValue ? null : token.IssuedAt;

    private static JsonWebToken? Parse(string text)
    {
        try
        {
            var token = new JsonWebToken(text);
            // Read here, because they are parsed when they are used: what is broken must not be found later.
            return token is { Issuer: not null, Alg: not null } && token.ValidTo >= DateTime.MinValue && token.IssuedAt >= DateTime.MinValue
                && token.Kid?.Length is null or >= 0 ? token : null;
        }
        // The library has many exceptions for what is no token. None of them may become an internal error.
        catch (Exception exception) when (exception is not (OutOfMemoryException or StackOverflowException))
        {
            return null;
        }
    }

    private static GatewayError ErrorOf(Exception? exception) => exception switch
    {
        SecurityTokenExpiredException => new GatewayError(ErrorCode.KeyExpired, "The token has expired.")
        {
            Remedy = "Get a new token from your identity provider.",
        },
        SecurityTokenNotYetValidException => Invalid("The token is not valid yet."),
        SecurityTokenInvalidAudienceException => Invalid("The token is for another audience."),
        SecurityTokenNoExpirationException => Invalid("The token has no time at which it expires."),
        SecurityTokenInvalidSignatureException or SecurityTokenSignatureKeyNotFoundException => Invalid("The signature of the token is wrong."),
        SecurityTokenInvalidAlgorithmException => Invalid("The token is signed with an algorithm that is not accepted."),
        _ => Invalid("The token is not valid."),
    };

    private static GatewayError Invalid(string message) => new(ErrorCode.InvalidApiKey, message)
    {
        Remedy = "Get a token for this server from your identity provider.",
    };

    private static (VerifiedToken? Token, GatewayError? Error) Refuse(string message) => (null, Invalid(message));
}
