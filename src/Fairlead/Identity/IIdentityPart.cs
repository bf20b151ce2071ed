using Fairlead.Pipeline;

namespace Fairlead.Identity;

/// <summary>
/// What one slice adds to the identity of a request: everything under its care that shapes the output. A stage that changes outputs
/// registers its own part. Thread-safe.
/// </summary>
internal interface IIdentityPart
{
    /// <summary>Adds the part of a call whose model is known and whose limits are reserved.</summary>
    /// <param name="call">The call.</param>
    /// <param name="hash">Receives the part.</param>
    void Add(GatewayCall call, IdentityHash hash);
}
