using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.Streaming;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging;

namespace Fairlead.Providers.ChatClient;

/// <summary>
/// The updates of an <see cref="IChatClient"/> as events. Each read takes all updates that are available without waiting, so that a fast
/// client needs few flushes. Disposing cancels the client's token at once, and does not wait for a client that ignores it. One reader.
/// </summary>
internal sealed class ChatClientEventSource : IEventSource
{
    /// <summary>Maximum number of updates in one read, so that an endless synchronous client cannot grow a batch without limit.</summary>
    private const int MaxUpdatesPerRead = 64;

    private readonly Func<CancellationToken, IAsyncEnumerable<ChatResponseUpdate>> _open;
    private readonly ChatClientResponseReader _reader;
    private readonly AttemptWatch _watch;
    private readonly string _model;
    private readonly ILogger _logger;
    private readonly BuilderToken _stop;
    private readonly EventBatch _first = new();
    private readonly List<GenerationEvent> _events = [];
    private IAsyncEnumerator<ChatResponseUpdate>? _updates;
    private Task<bool>? _moving;
    private bool _hasFirst;
    private bool _contentSeen;
    private bool _ended;
    private bool _disposed;

    /// <param name="open">Starts the client; called once, with the token that stops it.</param>
    /// <param name="reader">Reads the updates.</param>
    /// <param name="watch">Owned by this object.</param>
    /// <param name="model">Name of the model, for logs.</param>
    /// <param name="logger">For the operator's log.</param>
    public ChatClientEventSource(
        Func<CancellationToken, IAsyncEnumerable<ChatResponseUpdate>> open, ChatClientResponseReader reader, AttemptWatch watch,
        string model,
        ILogger logger)
    {
        _open = open;
        _reader = reader;
        _watch = watch;
        _model = model;
        _logger = logger;
        _stop = new BuilderToken(watch.Token);
    }

    /// <summary>Waits for the first update. Null when the stream is open, otherwise the reason for the failure.</summary>
    /// <exception cref="OperationCanceledException">The caller's token was cancelled.</exception>
    public async ValueTask<GatewayReply.AttemptFailed?> StartAsync(CancellationToken cancellationToken)
    {
        _first.Add(new ResponseStarted());
        _watch.Arm(WaitingFor.FirstToken);
        var failed = await FillAsync(_first, cancellationToken);
        _hasFirst = true;
        if (failed is not null)
        {
            // No client reads what came before the failure, but it is counted.
            foreach (var item in _first.Items) _reader.Meter.Observe(item.Event!);
        }
        return failed;
    }

    public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        batch.Clear();
        if (_hasFirst)
        {
            _hasFirst = false;
            batch.SwapWith(_first);
            return true;
        }
        while (!_ended)
        {
            if (await FillAsync(batch, cancellationToken) is { } failed) batch.Add(new AttemptFailed(failed.Error));
            if (batch.Items.Count > 0) return true;
        }
        return false;
    }

    public async ValueTask DisposeAsync()
    {
        if (_disposed) return;
        _disposed = true;
        _stop.Stop();
        _first.Dispose();
        if (_moving is { IsCompleted: false })
        {
            // An enumerator cannot be disposed while it runs; a client that is slow to stop is not awaited.
            _ = AbandonAsync();
            return;
        }
        await ReleaseAsync();
    }

    // Takes what is available, and waits only for the first update. Not null when the attempt failed.
    private async ValueTask<GatewayReply.AttemptFailed?> FillAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        try
        {
            _updates ??= _open(_stop.Token).GetAsyncEnumerator(_stop.Token);
            for (var taken = 0; taken < MaxUpdatesPerRead; taken++)
            {
                _moving ??= _updates.MoveNextAsync().AsTask();
                if (!_moving.IsCompleted)
                {
                    if (taken > 0) return null;
                    if (_contentSeen) _watch.Arm(WaitingFor.StreamIdle);
                    using (_watch.Link(cancellationToken)) await _moving.WaitAsync(_watch.Token);
                }
                var moved = await _moving;
                _moving = null;
                if (_contentSeen) _watch.Disarm();
                if (Take(moved, batch) is { } error)
                {
                    _ended = true;
                    ChatClientFailures.Unusable(_logger, _model, "error content, or tool call arguments that are not JSON");
                    return new GatewayReply.AttemptFailed(error, FailureClass.Failover);
                }
                if (_ended) return null;
            }
            return null;
        }
        catch (Exception e)
        {
            _ended = true;
            _watch.ThrowIfStoppedByCaller();
            cancellationToken.ThrowIfCancellationRequested();
            return ChatClientFailures.From(e, _watch, _model, _logger);
        }
    }

    private GatewayError? Take(bool moved, EventBatch batch)
    {
        _events.Clear();
        GatewayError? error;
        if (moved)
        {
            var update = _updates!.Current;
            _reader.NoteFinish(update.FinishReason, update.ModelId);
            error = _reader.Read(update.Contents, _events);
        }
        else
        {
            _ended = true;
            error = _reader.End(_events);
        }
        foreach (var generationEvent in _events)
        {
            batch.Add(generationEvent);
            if (_contentSeen || !generationEvent.IsContent) continue;
            _contentSeen = true;
            _watch.Disarm();
        }
        return error;
    }

    private async Task AbandonAsync()
    {
        try
        {
            await _moving!;
        }
        catch (Exception)
        {
            // The attempt has ended; later errors of its client are ignored.
        }
        await ReleaseAsync();
    }

    private async ValueTask ReleaseAsync()
    {
        try
        {
            if (_updates is { } updates) await updates.DisposeAsync();
        }
        catch (Exception)
        {
            // As above.
        }
        finally
        {
            _stop.Dispose();
            _watch.Dispose();
        }
    }
}
