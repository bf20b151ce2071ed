using Fairlead.Pipeline;

namespace Fairlead.Auditing;

/// <summary>
/// The node's own append-only record of what was started and how it ended, on local disk before anything leaves the process.
/// Whatever an append returned from survives <c>kill -9</c>; the shipper carries it to the database later. Thread-safe.
/// </summary>
internal interface ISpool
{
    /// <summary>An attempt is about to be sent; must return before the first byte goes to the provider.</summary>
    ValueTask AttemptStartedAsync(GatewayCall call, Attempt attempt);

    /// <summary>How far a streaming attempt has come, so that a killed process charges what was made. Cheap; called at most about once a second per stream.</summary>
    void AttemptProgressed(GatewayCall call, Attempt attempt);

    /// <summary>
    /// The call's audit record and the ledger entries of its attempts; must return before the last byte of the answer leaves.
    /// <see cref="GatewayCall.Ending"/> is set. Also called for refusals of known callers.
    /// </summary>
    ValueTask CallEndedAsync(GatewayCall call, int status);
}
