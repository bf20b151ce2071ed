using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.Telemetry;

namespace Fairlead.Routing;

/// <summary>How an attempt's stream began.</summary>
internal enum StreamStart
{
    /// <summary>Something a reader would see is there: this attempt answers.</summary>
    Content,

    /// <summary>The stream ended without content, with a reason: also an answer.</summary>
    EndedEmpty,

    /// <summary>It broke before content; another attempt may be made.</summary>
    Broken,
}

/// <summary>
/// The events of one attempt, metered as they pass, with what came before the first content held until it is known whether this
/// attempt answers.
/// </summary>
internal sealed class AttemptEvents(GatewayCall call, Attempt attempt, IEventSource source, ChunkClock? clock, DeploymentPlaces places) : IEventSource
{
    /// <summary>Events without content that are held. A stream of more is broken: no provider needs so many to begin.</summary>
    internal const int MaxHeldEvents = 10_000;

    /// <summary>Bytes of them. A response that echoes its request fits.</summary>
    internal const int MaxHeldBytes = 4 * 1024 * 1024;

    private readonly EventBatch _held = new();
    private MemoryLease? _memory;
    private bool _hasHeld;
    private bool _ended;

    public bool BuffersAhead => source.BuffersAhead;

    /// <summary>The error that the stream ended with, or null.</summary>
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
                Error ??= new GatewayError(ErrorCode.ProviderError, "The model's provider ended the stream without an answer.");
                return StreamStart.Broken;
            }
            Meter(batch);
            var content = batch.HasContent;
            if (!TryHold(batch)) return StreamStart.Broken;
            if (content)
            {
                clock?.Tick();
                call.Timings.Set(Phase.FirstToken, attempt.StartedAt);
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
        // Only what is repeated is counted: nearly all streams begin within two reads.
        _memory ??= new MemoryLease(attempt.Memory);
        if (!_memory.TryTake(batch.Size))
        {
            Error = MemoryBudget.Overloaded;
            return false;
        }
        _held.Append(batch);
        if (_held.Items.Count <= MaxHeldEvents && _held.Size <= MaxHeldBytes) return true;
        Error = new GatewayError(ErrorCode.ProviderError, "The model's provider sent event after event without content.");
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
        if (_ended) return false;
        if (!await source.ReadAsync(batch, cancellationToken))
        {
            _ended = true;
            return false;
        }
        Meter(batch);
        if (clock is not null && batch.HasContent) clock.Tick();
        return true;
    }

    /// <summary>Whether this stream holds the attempt's place at its deployment, to be given back with the end of it.</summary>
    public bool HoldsPlace { get; set; }

    public ValueTask DisposeAsync()
    {
        _held.Dispose();
        _memory?.Dispose();
        if (HoldsPlace)
        {
            HoldsPlace = false;
            places.GiveBack(attempt.Deployment);
        }
        return source.DisposeAsync();
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
        // Readers see what the model made; that it broke is the call's ending, told in its own way.
        if (Error is not null)
        {
            _ended = true;
            batch.Items.RemoveAll(static item => item.Event is AttemptFailed);
        }
    }
}
