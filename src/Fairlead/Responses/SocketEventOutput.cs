using System.Buffers;
using System.Text.Json;
using Fairlead.Delivery;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Streaming;

namespace Fairlead.Responses;

/// <summary>
/// The events of one turn, each as one message. An event that is too large, or for which there is no memory, becomes an error, and
/// nothing follows it. One writer; see <see cref="IEventOutput"/>.
/// </summary>
/// <remarks>
/// A flush hands its events to a send that cannot be cancelled, because cancelling a send would break the connection. If the flush is
/// cancelled, the send continues; the next flush and <see cref="CompleteAsync"/> wait for it.
/// </remarks>
/// <param name="writer">Sends the messages.</param>
/// <param name="memory">Counts long events.</param>
/// <param name="stop">Stops the turn.</param>
internal sealed class SocketEventOutput(SocketWriter writer, MemoryBudget memory, Action stop)
    : IEventOutput, IBufferWriter<byte>, IDisposable
{
    /// <summary>A longer event is not sent as a message.</summary>
    internal const int MaxEventBytes = SseParser.DefaultMaxEventBytes;

    /// <summary>Events of ordinary length are not counted.</summary>
    private const int UncountedBytes = 16 * 1024;

    /// <summary>How often a byte counts: while a buffer grows, the old one exists too.</summary>
    private const int Copies = 2;

    private readonly TaskCompletionSource _gaveUp = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private PooledBuffer? _written;
    private PooledBuffer? _spare;
    private PooledBuffer? _discarded;
    private int _eventStart;
    private GatewayError? _error;
    private Task _sending = Task.CompletedTask;
    private volatile bool _isDiscarding;
    private volatile bool _isGone;
    private volatile bool _hasSentLast;

    public EventFormat Format => EventFormat.JsonLines;

    public IBufferWriter<byte> Buffer => this;

    public bool HasUnflushed => _written is { Length: > 0 } || _error is not null;

    /// <summary>Empty: the connection has pings of its own.</summary>
    public ReadOnlyMemory<byte> KeepAlive => default;

    /// <summary>Whether the client may have received a message of this turn.</summary>
    public bool HasSent { get; private set; }

    /// <summary>
    /// Whether the client may have received the event that ends its response, or an error. May be read from another thread.
    /// </summary>
    public bool HasSentLast => _hasSentLast;

    public Memory<byte> GetMemory(int sizeHint = 0) => BufferFor(sizeHint).GetMemory(sizeHint);

    public Span<byte> GetSpan(int sizeHint = 0) => BufferFor(sizeHint).GetSpan(sizeHint);

    public void Advance(int count)
    {
        if (_isDiscarding) return;
        var written = _written!;
        written.Advance(count);
        var end = written.WrittenSpan[^count..].LastIndexOf((byte)'\n');
        if (end >= 0) _eventStart = written.Length - count + end + 1;
        if (written.Length - _eventStart > MaxEventBytes) Fail(TooLarge());
    }

    public async ValueTask<bool> FlushAsync(CancellationToken cancellationToken)
    {
        if (!await WaitAsync(cancellationToken)) return false;
        if (!HasUnflushed) return true;

        var (events, error) = (_written, _error);
        (_written, _error, _eventStart) = (null, null, 0);
        _sending = SendAsync(events, error);
        return await WaitAsync(cancellationToken);
    }

    public void CancelPendingFlush() => _gaveUp.TrySetResult();

    /// <summary>Waits until everything that was flushed is sent or the connection is gone.</summary>
    public Task CompleteAsync() => _sending;

    /// <summary>Call after <see cref="CompleteAsync"/>.</summary>
    public void Dispose()
    {
        _written?.Dispose();
        _spare?.Dispose();
        _discarded?.Dispose();
    }

    private async ValueTask<bool> WaitAsync(CancellationToken cancellationToken)
    {
        if (!_sending.IsCompleted) await Task.WhenAny(_sending, _gaveUp.Task).WaitAsync(cancellationToken);
        if (_gaveUp.Task.IsCompleted) return false;
        await _sending;
        return !_isGone;
    }

    private async Task SendAsync(PooledBuffer? events, GatewayError? error)
    {
        // Only an error of the memory stops the call; after an event that is too large, it ends as it would.
        var stops = error is not null && error.Code != ErrorCode.PayloadTooLarge;
        try
        {
            var rest = events?.WrittenMemory ?? default;
            while (!rest.IsEmpty)
            {
                var end = rest.Span.IndexOf((byte)'\n');
                var one = end < 0 ? rest : rest[..end];
                rest = end < 0 ? default : rest[(end + 1)..];
                if (one.Length > MaxEventBytes)
                {
                    _isDiscarding = true;
                    error = TooLarge();
                    break;
                }
                HasSent = true;
                if (IsLast(one.Span)) _hasSentLast = true;
                await writer.SendAsync(one);
            }
            if (error is null) return;
            HasSent = true;
            _hasSentLast = true;
            await writer.SendErrorAsync(error);
            if (stops) stop();
        }
        catch (Exception exception) when (SocketWriter.IsGone(exception))
        {
            _isGone = true;
            stop();
        }
        finally
        {
            Return(events);
        }
    }

    private PooledBuffer BufferFor(int sizeHint)
    {
        if (!_isDiscarding)
        {
            try
            {
                var written = _written ??= Interlocked.Exchange(ref _spare, null)
                    ?? new PooledBuffer(Math.Max(sizeHint, 1024), memory, UncountedBytes, Copies);
                // Grows here, so that a lack of memory is found here.
                written.GetSpan(sizeHint);
                return written;
            }
            catch (MemoryExhaustedException exhausted)
            {
                Fail(exhausted.Error);
            }
        }
        var discarded = _discarded ??= new PooledBuffer(1024);
        discarded.Clear();
        return discarded;
    }

    /// <summary>Drops the event that is being written, and everything after it.</summary>
    private void Fail(GatewayError error)
    {
        _isDiscarding = true;
        _error = error;
        _written?.Truncate(_eventStart);
    }

    private void Return(PooledBuffer? events)
    {
        if (events is null) return;
        // After an error nothing more is written, and what is left of a large buffer is short.
        if (events.Length > UncountedBytes || _isDiscarding)
        {
            events.Dispose();
            return;
        }
        events.Clear();
        // One may be left from a flush that was cancelled.
        Interlocked.Exchange(ref _spare, events)?.Dispose();
    }

    // Reads only up to the type, which is first unless a provider of the dialect has another order.
    private static bool IsLast(ReadOnlySpan<byte> one)
    {
        var json = new Utf8JsonReader(one, new JsonReaderOptions { MaxDepth = 1024 });
        try
        {
            if (!json.Read() || json.TokenType != JsonTokenType.StartObject) return false;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var isType = json.ValueTextEquals("type"u8);
                json.Read();
                if (isType) return json.TokenType == JsonTokenType.String && IsLastType(ref json);
                json.Skip();
            }
        }
        catch (JsonException)
        {
            // Passed to the client as it is.
        }
        return false;
    }

    private static bool IsLastType(ref Utf8JsonReader type) =>
        type.ValueTextEquals("response.completed"u8)
        || type.ValueTextEquals("response.incomplete"u8)
        || type.ValueTextEquals("response.failed"u8)
        || type.ValueTextEquals("error"u8);

    private static GatewayError TooLarge() =>
        new(
            ErrorCode.PayloadTooLarge,
            $"An event of this response is larger than {MaxEventBytes:N0} bytes, the maximum of a message on a WebSocket.")
        {
            Remedy = "Retrieve the response by its id if it was stored, or send the request over HTTP, which has no such limit.",
        };
}
