using Fairlead.Pipeline;

namespace Fairlead.Auditing.Spooling;

/// <summary>
/// The node's own append-only record of what was started and how it ended, on local disk before anything leaves the process.
/// Whatever an append returned from survives <c>kill -9</c>; the shipper carries it to the database later. Thread-safe.
/// </summary>
internal interface ISpool
{
    /// <summary>Reserves room for the record of a call that is served without an attempt.</summary>
    /// <exception cref="SpoolUnavailableException">There is no room, so the call must be refused.</exception>
    void Reserve(GatewayCall call);

    /// <summary>An attempt is about to be sent; must return before the first byte goes to the provider. Reserves room for the record of the call's end.</summary>
    /// <exception cref="SpoolUnavailableException">There is no room, so nothing may be sent.</exception>
    ValueTask AttemptStartedAsync(GatewayCall call, Attempt attempt);

    /// <summary>How far a streaming attempt has come, so that a killed process charges what was made. Cheap; called at most about once a second per stream.</summary>
    void AttemptProgressed(GatewayCall call, Attempt attempt);

    /// <summary>
    /// The call's audit record and the ledger entries of its attempts; must return before the last byte of the answer leaves.
    /// <see cref="GatewayCall.Ending"/> is set. Also called for refusals of known callers, whose records may be dropped while the disk is full; that of a
    /// call with reserved room never is.
    /// </summary>
    ValueTask CallEndedAsync(GatewayCall call, int status);
}
