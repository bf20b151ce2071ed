using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
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
/// follows. If the runs differ, the stream ends as the first run did. A run that is to continue the text is passed on once it is known
/// that it does not start with what was sent; otherwise a third one is compared. One reader.
/// </summary>
internal sealed class RescuedEvents(GatewayCall call, Attempt first, IEventSource source, GatewayStep next, RescueStarter starter)
    : IEventSource
{
    /// <summary>Maximum bytes of new events that wait until the other choices are reproduced.</summary>
    private const int MaxHeldBytes = 4 * 1024 * 1024;

    private static readonly GatewayError Truncated = new(ErrorCode.ProviderError,
        "The model's provider ended the stream before the response was complete.");

    private EventBatch? _held;
    private IEventSource _source = source;
    private readonly Attempt _first = first;
    private OutputDigest _sent = first.Meter.Digest!;
    private Attempt _answering = first;
    private Attempt? _run;
    private OutputReplay? _replay;
    private NativeReplay? _native;
    private MemoryLease? _memory;
    private bool _isCaughtUp = true;
    private string? _start;
    private StringBuilder? _begun;
    private bool _startedAgain;
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
                if (_replay is null && _start is null) return true;
                // 3. and 4.
                if (!await TakeAsync(batch, cancellationToken)) break;
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
        _first.Meter.Digest!.Kept?.Drop();
        DropHeld();
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
        return await BeginAsync(lost, cancellationToken);
    }

    /// <summary>Starts another run. False when there is none.</summary>
    private async ValueTask<bool> BeginAsync(Attempt lost, CancellationToken cancellationToken)
    {
        call.Rescue!.Running = null;
        if (await starter.StartAsync(call, lost, _sent, next, cancellationToken) is not { } run)
        {
            call.Answering = _answering;
            return false;
        }
        await _source.DisposeAsync();
        _source = run.Events;
        // Until it has reproduced what was sent, the client has nothing of it.
        (_run, call.Answering) = (call.Answering, _answering);
        call.Rescue.Running = _run;
        _isCaughtUp = false;
        DropHeld();
        // The client waited for the first token of the first run.
        call.Timings.SetTicks(Phase.FirstToken, _first.FirstTokenAt - _first.StartedAt);
        _first.Meter.Digest!.Kept?.Drop();
        (_start, _begun, _replay, _native) = (run.Start, null, null, null);
        if (_start is not null) return true;
        _replay = new OutputReplay(_sent);
        _native = call.Dialect.Native?.Streams?.CreateReplay(_replay);
        return true;
    }

    /// <summary>Leaves in the batch what is new for the client. False when the run differs.</summary>
    private async ValueTask<bool> TakeAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        if (Filter(batch) is not { } reason) return true;
        await _source.DisposeAsync();
        if (_startedAgain)
        {
            _startedAgain = false;
            starter.Dismiss(call, _run!);
            _run = null;
            batch.Clear();
            return await BeginAsync(_answering, cancellationToken);
        }
        call.Rescue!.Running = null;
        starter.Discard(call, _run!, _answering, reason);
        return false;
    }

    private string? Filter(EventBatch batch)
    {
        if (_start is not null)
        {
            // The response has started long ago.
            batch.Items.RemoveAll(static item => item.Event is Conversation.ResponseStarted);
            return _isCaughtUp ? null : CheckStart(batch, _start);
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
                if (!TryTake(_native, all, item, batch)) return "its events cannot be compared";
            }
            else
            {
                return "its events cannot be compared";
            }
            if (_replay!.Differs) return "another run of the request differs from what was sent";
        }
        return Hold(batch);
    }

    private bool TryTake(NativeReplay native, EventBatch all, in StreamItem item, EventBatch batch)
    {
        var isCaughtUp = _replay!.IsCaughtUp;
        try
        {
            native.Take(all.DataOf(item), item.Kind, item.Traits, batch);
            return true;
        }
        catch (Exception exception) when (exception is ArgumentException or InvalidOperationException or FormatException or JsonException)
        {
            // Duplicate members, or strings that are not text: forwarded unchanged where nothing of it can be known to the client.
            if (isCaughtUp) batch.AddNative(all.DataOf(item), item.Kind, item.Traits);
            return isCaughtUp;
        }
    }

    // A server that does not continue the text, but repeats it or answers again, starts like the lost run.
    private string? CheckStart(EventBatch batch, string start)
    {
        _begun ??= new StringBuilder();
        var finishes = false;
        foreach (var item in batch.Items)
        {
            if (item.Event is Conversation.TextDelta text && _begun.Length < start.Length) _begun.Append(text.Text);
            finishes |= item.Event is Conversation.ChoiceFinished;
        }
        if (_begun.Length < start.Length && !finishes) return HoldBack(batch);
        if (_begun.Length >= start.Length && _begun.ToString(0, start.Length) == start)
        {
            _startedAgain = true;
            return "the other attempt started again";
        }
        Release(batch);
        starter.ContinuedText(call, _answering);
        return null;
    }

    // New events of a choice must not go out while another choice may still differ.
    private string? Hold(EventBatch batch)
    {
        if (_isCaughtUp) return null;
        if (!_replay!.IsCaughtUp) return HoldBack(batch);
        Release(batch);
        starter.Continued(call, _sent.TextLength);
        return null;
    }

    /// <summary>The run is the response from now on.</summary>
    private void Release(EventBatch batch)
    {
        _isCaughtUp = true;
        call.Answering = _run;
        call.Rescue!.Running = null;
        if (_held is { Items.Count: > 0 } held)
        {
            held.Append(batch);
            batch.Clear();
            batch.SwapWith(held);
        }
        DropHeld();
    }

    private string? HoldBack(EventBatch batch)
    {
        if (batch.Items.Count == 0) return null;
        _held ??= new EventBatch();
        _memory ??= new MemoryLease(call.Memory);
        if (_held.Size + batch.Size > MaxHeldBytes || !_memory.TryTake(batch.Size))
            return "the events of the other run need too much memory";
        _held.Append(batch);
        batch.Clear();
        return null;
    }

    private void DropHeld()
    {
        _held?.Dispose();
        _memory?.Dispose();
        _memory = null;
    }
}
