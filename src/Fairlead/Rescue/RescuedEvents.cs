using System.Runtime.CompilerServices;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.Streaming.Verification;

namespace Fairlead.Rescue;

/// <summary>
/// The events of a response that goes on when its provider is lost: 1. pass on the events of the first run, 2. when it is lost, start
/// another, 3. leave out of it what the client has, and compare that with what was sent, 4. once all of it is reproduced, pass on what
/// follows. If the runs differ, the stream ends as the first run did. One reader.
/// </summary>
internal sealed class RescuedEvents(GatewayCall call, Attempt first, IEventSource source, GatewayStep next, RescueStarter starter)
    : IEventSource
{
    /// <summary>Maximum bytes of new events that wait until the other choices are reproduced.</summary>
    private const int MaxHeldBytes = 4 * 1024 * 1024;

    private static readonly GatewayError Truncated = new(ErrorCode.ProviderError,
        "The model's provider ended the stream before the response was complete.");

    private readonly EventBatch _held = new();
    private IEventSource _source = source;
    private OutputDigest _sent = first.Meter.Digest!;
    private Attempt _answering = first;
    private Attempt? _run;
    private OutputReplay? _replay;
    private NativeReplay? _native;
    private MemoryLease? _memory;
    private bool _isCaughtUp = true;
    private bool _isContinuation;
    private bool _ended;

    public bool BuffersAhead => _source.BuffersAhead;

    // Pooled: every read of every stream passes here.
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        while (!_ended)
        {
            if (await _source.ReadAsync(batch, cancellationToken))
            {
                // 1.
                if (_replay is null && !_isContinuation) return true;
                // 3. and 4.
                if (!await TakeAsync(batch)) break;
                if (batch.Items.Count > 0) return true;
                continue;
            }
            // 2.
            if (!await ContinueAsync(cancellationToken)) break;
        }
        _ended = true;
        batch.Clear();
        return false;
    }

    public ValueTask DisposeAsync()
    {
        first.Meter.Digest!.Kept?.Drop();
        _held.Dispose();
        _memory?.Dispose();
        return _source.DisposeAsync();
    }

    /// <summary>The source has ended. True when another one follows.</summary>
    private async ValueTask<bool> ContinueAsync(CancellationToken cancellationToken)
    {
        var lost = _run ?? _answering;
        // It ended without a reason: the delivery would end the call as lost.
        if (_isCaughtUp && lost.Meter.FinishReason is null) lost.Error ??= Truncated;
        if (_isCaughtUp)
        {
            if (lost.Error is null) return false;
            if (_run is not null)
            {
                // The client knows the ids of the first run.
                _run.Meter.Digest!.TakeIds(_sent);
                (_answering, _sent, _run) = (_run, _run.Meter.Digest, null);
            }
        }
        else if (lost.Error is null)
        {
            starter.Discard(call, lost, _answering, "the other run ended before it reached the same point");
            return false;
        }
        if (await starter.StartAsync(call, lost, _sent, next, cancellationToken) is not { } run)
        {
            call.Answering = _answering;
            return false;
        }
        await _source.DisposeAsync();
        _source = run.Events;
        _run = call.Answering;
        _isContinuation = run.IsContinuation;
        _replay = null;
        _native = null;
        _isCaughtUp = true;
        // The client waited for the first token of the first run.
        call.Timings.SetTicks(Phase.FirstToken, first.FirstTokenAt - first.StartedAt);
        first.Meter.Digest!.Kept?.Drop();
        if (_isContinuation) return true;
        _replay = new OutputReplay(_sent);
        _native = call.Dialect.Native?.Streams?.CreateReplay(_replay);
        _isCaughtUp = false;
        _held.Clear();
        _memory?.Dispose();
        _memory = null;
        return true;
    }

    /// <summary>Leaves in the batch what is new for the client. False when the run differs.</summary>
    private async ValueTask<bool> TakeAsync(EventBatch batch)
    {
        if (Filter(batch) is { } reason)
        {
            await _source.DisposeAsync();
            starter.Discard(call, _run!, _answering, reason);
            return false;
        }
        return true;
    }

    private string? Filter(EventBatch batch)
    {
        if (_isContinuation)
        {
            // The response has started long ago.
            batch.Items.RemoveAll(static item => item.Event is Conversation.ResponseStarted);
            return null;
        }
        using var all = new EventBatch();
        all.SwapWith(batch);
        batch.Clear();
        foreach (var item in all.Items)
        {
            if (item.Event is { } generationEvent)
            {
                if (_replay!.Take(generationEvent) is { } rest) batch.Add(rest);
            }
            else if (_native is not null)
            {
                _native.Take(all.DataOf(item), item.Kind, item.Traits, batch);
            }
            else
            {
                return "its events cannot be compared";
            }
            if (_replay!.Differs) return "another run of the request differs from what was sent";
        }
        return Hold(batch);
    }

    // New events of a choice must not go out while another choice may still differ.
    private string? Hold(EventBatch batch)
    {
        if (_isCaughtUp) return null;
        if (_replay!.IsCaughtUp)
        {
            _isCaughtUp = true;
            starter.Continued(call, _sent.TextLength);
            if (_held.Items.Count == 0) return null;
            _held.Append(batch);
            batch.Clear();
            batch.SwapWith(_held);
            _memory?.Dispose();
            _memory = null;
            return null;
        }
        if (batch.Items.Count == 0) return null;
        _memory ??= new MemoryLease(call.Memory);
        if (_held.Size + batch.Size > MaxHeldBytes || !_memory.TryTake(batch.Size))
            return "the events of the other run need too much memory";
        _held.Append(batch);
        batch.Clear();
        return null;
    }
}
