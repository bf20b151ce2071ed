using Fairlead.Pipeline;

namespace Fairlead.Auditing.Spooling;

/// <summary>
/// The node's own append-only record of started and ended calls, on local disk before anything leaves the process.
/// An append that has returned survives <c>kill -9</c>; the shipper writes it to the database later. Thread-safe.
/// </summary>
internal interface ISpool
{
    /// <summary>Reserves space for the record of a call that is served without an attempt.</summary>
    /// <exception cref="SpoolUnavailableException">There is no space, so the call must be refused.</exception>
    void Reserve(GatewayCall call);

    /// <summary>
    /// An attempt is about to be sent; must return before the first byte is sent to the provider. Reserves space for the record of the
    /// call's end.
    /// </summary>
    /// <exception cref="SpoolUnavailableException">There is no space, so nothing may be sent.</exception>
    ValueTask AttemptStartedAsync(GatewayCall call, Attempt attempt);

    /// <summary>
    /// The progress of a streaming attempt, so that the output so far is charged if the process is killed. Cheap; called at most about once
    /// per second and stream.
    /// </summary>
    void AttemptProgressed(GatewayCall call, Attempt attempt);

    /// <summary>
    /// The call's audit record and the ledger entries of its attempts; must return before the last byte of the response is sent.
    /// <see cref="GatewayCall.Ending"/> is set. Also called for refusals of known callers, whose records may be dropped while the disk is
    /// full; that of a call with reserved space never is.
    /// </summary>
    ValueTask CallEndedAsync(GatewayCall call, int status);
}
