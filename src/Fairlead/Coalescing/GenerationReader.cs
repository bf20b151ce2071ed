using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Coalescing;

/// <summary>One call's reading of a shared generation, from its first event on.</summary>
/// <param name="call">The call.</param>
/// <param name="share">The call's part.</param>
/// <param name="attempt">The attempt that the call shows.</param>
/// <param name="observes">Whether the events are metered here; those of an attempt of routing are metered there.</param>
internal sealed class GenerationReader(GatewayCall call, GenerationShare share, Attempt attempt, bool observes) : IEventSource
{
    private readonly IEventSource _log = share.Flight.Log.Read();
    private bool _hasEnded;
    private bool _hasEnding;

    // The log collects while nobody reads.
    public bool BuffersAhead => true;

    /// <exception cref="EventsNoLongerKeptException">The call came too late for the first event. Only by the first read of a call that joined.</exception>
    public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        batch.Clear();
        if (_hasEnded) return false;
        bool more;
        try
        {
            more = await _log.ReadAsync(batch, cancellationToken);
        }
        catch (EventsNoLongerKeptException) when (HasStarted || !observes)
        {
            // The reader is too slow, and the log has a maximum.
            batch.Clear();
            _hasEnded = true;
            share.Flight.Moved(share, 0, hasStopped: true);
            var slow = new GatewayError(ErrorCode.Overloaded, "The client read its stream too slowly, so that the rest is no longer there.");
            if (observes) attempt.Error = slow;
            else batch.Add(new AttemptFailed(slow));
            return !observes;
        }
        HasStarted = true;
        if (!more)
        {
            _hasEnded = true;
            TakeEnding();
            share.HasReadAll = attempt.Error is null;
            return false;
        }
        share.Flight.Moved(share, batch.Items.Count);
        // The owner reads nothing after that.
        if (batch.Items.Exists(static item => item.Event is AttemptFailed)) TakeEnding();
        if (!observes) return true;
        foreach (var item in batch.Items)
        {
            if (item.Event is AttemptFailed failed) attempt.Error = failed.Error;
            else if (item.Event is { } made) attempt.Meter.Observe(made);
        }
        batch.Items.RemoveAll(static item => item.Event is AttemptFailed);
        return true;
    }

    /// <summary>Whether it has read something.</summary>
    public bool HasStarted { get; private set; }

    public ValueTask DisposeAsync()
    {
        share.Flight.Moved(share, 0, hasStopped: true);
        return _log.DisposeAsync();
    }

    /// <summary>What the provider's adapter noted beside the events: damage, and what it left out.</summary>
    private void TakeEnding()
    {
        if (_hasEnding || share.Flight.Running is not { } run) return;
        _hasEnding = true;
        var (mine, meter) = (attempt.Meter, run.Attempt.Meter);
        mine.SkippedEvents += meter.SkippedEvents;
        mine.FailedReason ??= meter.FailedReason;
        mine.UpstreamModel ??= meter.UpstreamModel;
        mine.ReportTier(meter.ServiceTier);
        foreach (var warning in run.Call.Warnings) call.Warn(warning.Code, warning.Message);
    }
}
