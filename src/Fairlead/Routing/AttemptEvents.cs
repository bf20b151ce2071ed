using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Scheduling;
using Fairlead.Streaming;
using Fairlead.Telemetry;

namespace Fairlead.Routing;

/// <summary>How the stream of an attempt started.</summary>
internal enum StreamStart
{
    /// <summary>The first visible content arrived: this attempt provides the response.</summary>
    Content,

    /// <summary>The stream ended without content but with a finish reason: also a response.</summary>
    EndedEmpty,

    /// <summary>It failed before content; another attempt may follow.</summary>
    Broken,
}

/// <summary>
/// The events of one attempt, metered as they pass. Events before the first content are held until it is known whether this attempt
/// provides the response. Once it does, the attempt's slot at its deployment is returned when the source has ended, and not only when the
/// response is disposed: a repair of the output needs a slot before that.
/// </summary>
internal sealed class AttemptEvents(GatewayCall call, Attempt attempt, IEventSource source, ChunkClock? clock, Scheduler scheduler)
    : IEventSource
{
    /// <summary>Maximum events without content that are held. A stream with more is broken: no provider needs so many to start.</summary>
    internal const int MaxHeldEvents = 10_000;

    /// <summary>Their maximum bytes. A response that echoes its request fits.</summary>
    internal const int MaxHeldBytes = 4 * 1024 * 1024;

    private readonly EventBatch _held = new();
    private MemoryLease? _memory;
    private bool _hasHeld;
    private bool _ended;
    private bool _isClosed;

    public bool BuffersAhead => source.BuffersAhead;

    /// <summary>The error with which the stream ended, or null.</summary>
    public GatewayError? Error
    {
        get => attempt.Error;
        private set => attempt.Error = value;
    }

    /// <summary>Reads until the first content, the end or a failure.</summary>
    public async ValueTask<StreamStart> WaitForContentAsync(CancellationToken cancellationToken)
    {
        using var batch = new EventBatch();
        while (true)
        {
            if (!await source.ReadAsync(batch, cancellationToken))
            {
                _ended = true;
                if (attempt.Meter.FinishReason is not null) return StreamStart.EndedEmpty;
                Error ??= new GatewayError(ErrorCode.ProviderError, "The model's provider ended the stream without a response.");
                return StreamStart.Broken;
            }
            Meter(batch);
            var content = batch.HasContent;
            if (!TryHold(batch)) return StreamStart.Broken;
            if (content)
            {
                clock?.Tick();
                call.Timings.Set(Phase.FirstToken, attempt.StartedAt);
                attempt.FirstTokenAt = call.Timings.Now();
                call.Timings.SetTicks(Phase.Connect, attempt.ConnectTicks);
                return StreamStart.Content;
            }
            if (Error is not null) return StreamStart.Broken;
        }
    }

    private bool TryHold(EventBatch batch)
    {
        if (!_hasHeld)
        {
            _hasHeld = true;
            _held.SwapWith(batch);
            return true;
        }
        // Only repeated reads are counted: nearly all streams start within two reads.
        _memory ??= new MemoryLease(attempt.Memory);
        if (!_memory.TryTake(batch.Size))
        {
            Error = MemoryBudget.Overloaded;
            return false;
        }
        _held.Append(batch);
        if (_held.Items.Count <= MaxHeldEvents && _held.Size <= MaxHeldBytes) return true;
        Error = new GatewayError(ErrorCode.ProviderError, "The model's provider sent too many events without content.");
        return false;
    }

    public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        if (_hasHeld)
        {
            _hasHeld = false;
            _memory?.Dispose();
            batch.Clear();
            batch.SwapWith(_held);
            return true;
        }
        if (_ended)
        {
            await CloseAsync();
            return false;
        }
        var since = call.Timings.Now();
        var hasMore = await source.ReadAsync(batch, cancellationToken);
        attempt.StreamWaitTicks += call.Timings.Now() - since;
        if (!hasMore)
        {
            _ended = true;
            await CloseAsync();
            return false;
        }
        Meter(batch);
        if (clock is not null && batch.HasContent) clock.Tick();
        return true;
    }

    /// <summary>Whether this stream holds the attempt's slot at its deployment, which it returns once. Set before the first read.</summary>
    public bool HoldsSlot { get; set; }

    public ValueTask DisposeAsync()
    {
        _held.Dispose();
        _memory?.Dispose();
        return CloseAsync();
    }

    /// <summary>Closes the source, then returns the slot: until then, the deployment may still work for this attempt.</summary>
    private async ValueTask CloseAsync()
    {
        if (_isClosed) return;
        _isClosed = true;
        try
        {
            await source.DisposeAsync();
        }
        finally
        {
            if (HoldsSlot)
            {
                scheduler.GiveBack(call, attempt);
                attempt.Health.GiveBack();
                if (Error is { } error) attempt.Health.Ended(HealthVerdicts.Of(call, attempt, error));
                else if (_ended) attempt.Health.Succeeded();
            }
        }
    }

    private void Meter(EventBatch batch)
    {
        foreach (var item in batch.Items)
        {
            switch (item.Event)
            {
                case null: break;
                case AttemptFailed failed: Error = failed.Error; break;
                case { } generationEvent: attempt.Meter.Observe(generationEvent); break;
            }
        }
        // Readers see what the model generated. That the stream failed is the call's ending, which is reported separately.
        if (Error is not null)
        {
            _ended = true;
            batch.Items.RemoveAll(static item => item.Event is AttemptFailed);
        }
    }
}
