using Fairlead.Conversation;
using Fairlead.Dialects.Quirks;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Providers.Quirks;
using Fairlead.Streaming;

namespace Fairlead.Providers.Http;

/// <summary>
/// Reads a provider's stream of server-sent events and verifies its end: the provider's end mark, or the finish of every choice.
/// Everything else becomes <see cref="AttemptFailed"/>. One per stream; one reader.
/// </summary>
internal abstract class UpstreamEventSource(UpstreamExchange exchange) : IEventSource
{
    // Small, because it stays rented while the stream waits; a delta has about 200 bytes.
    private const int ReadBytes = 4096;

    /// <summary>Maximum number of consecutive reads without an event and without waiting; then other work gets its turn.</summary>
    private const int MaxIdleReads = 16;

    /// <summary>How long to wait for the end of the connection after the end mark, so that the connection can be used again.</summary>
    private static readonly TimeSpan DrainTimeout = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// Total time to wait for usage and the end mark after the last finish. They follow immediately or never: the response is complete, and
    /// its last event waits for this.
    /// </summary>
    internal static readonly TimeSpan EndGrace = TimeSpan.FromSeconds(2);

    private readonly SseParser _parser = new(budget: exchange.Attempt.Memory);
    private TimeSpan _graceLeft = EndGrace;
    private int _idleReads;
    private HalfCharacters? _halves;
    private PooledBuffer? _document;
    private Memory<byte> _target;
    private bool _isEventStream;
    private Stream? _stream;
    private bool _contentSeen;
    private bool _ended;
    private bool _endOfBytes;
    private bool _disposed;

    public bool BuffersAhead => true;

    protected UpstreamExchange Exchange { get; } = exchange;

    /// <summary>Counts the retained memory of events.</summary>
    protected MemoryLease Held { get; } = new(exchange.Attempt.Memory);

    /// <summary>Whether the stream has ended, so that nothing more may be added.</summary>
    protected bool HasEnded => _ended;

    /// <summary>Whether every choice has ended, so that the end of the bytes is a normal end and not a truncation.</summary>
    protected abstract bool IsFinished { get; }

    /// <summary>
    /// Processes one event: adds its translation to <paramref name="batch"/>, or calls <see cref="End"/> or <see cref="Fail"/>.
    /// </summary>
    protected abstract void OnEvent(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, EventBatch batch);

    /// <summary>Whether the provider's end mark is valid as an end: also if there are fewer choices than requested.</summary>
    protected virtual bool MayEnd => IsFinished;

    /// <summary>
    /// The provider sent a whole response although a stream was requested: adds its events. False when it is not a response.
    /// </summary>
    protected virtual bool OnDocument(ReadOnlyMemory<byte> document, EventBatch batch) => false;

    /// <summary>The bytes ended after the finish; the last chance to add something.</summary>
    protected virtual void OnEnd(EventBatch batch)
    {
    }

    /// <summary>The provider ended the response with a reason that means a failure.</summary>
    protected void FailReason(EventBatch batch)
    {
        UpstreamLog.BrokeOff(Exchange.Client.Logger, Exchange.Attempt.Deployment.ProviderName, Exchange.Attempt.Deployment.Name,
            UpstreamText.CleanCode(Exchange.Attempt.Meter.FailedReason));
        Fail(batch, UpstreamClient.FailedReasonError);
    }

    /// <summary>The provider's end mark came: nothing after it is read.</summary>
    protected void End() => _ended = true;

    /// <summary>Ends the stream with the provider's own error, classified like the body of an error status.</summary>
    protected void FailWith(EventBatch batch, UpstreamErrorBody body)
    {
        UpstreamErrors.LogEvent(body, Exchange.Attempt, Exchange.Client.Logger);
        Fail(batch, UpstreamErrors.FromEvent(body));
    }

    /// <summary>The attempt failed: the last item.</summary>
    protected void Fail(EventBatch batch, GatewayError error)
    {
        var at = batch.Items.Count;
        batch.Add(new AttemptFailed(error));
        // Held fragments of a call are sent before the end.
        Exchange.Tools?.Restore(batch, at);
        _ended = true;
    }

    private void FailForMemory(EventBatch batch, MemoryExhaustedException exhausted)
    {
        UpstreamLog.BrokeOff(Exchange.Client.Logger, Exchange.Attempt.Deployment.ProviderName, Exchange.Attempt.Deployment.Name,
            "memory limit reached by an event");
        Fail(batch, exhausted.Error);
    }

    public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        batch.Clear();
        var watch = Exchange.Watch;
        while (true)
        {
            try
            {
                while (!_ended && _parser.TryRead(out var name, out var data)) Receive(name, data, batch);
            }
            catch (MemoryExhaustedException exhausted)
            {
                FailForMemory(batch, exhausted);
            }
            if (!_ended && _parser.TooLarge)
            {
                UpstreamLog.BrokeOff(Exchange.Client.Logger, Exchange.Attempt.Deployment.ProviderName, Exchange.Attempt.Deployment.Name,
                    "event too large");
                Fail(batch, new GatewayError(ErrorCode.ProviderError, "The model's provider sent an event that is too large."));
            }
            if (!_contentSeen && batch.HasContent)
            {
                _contentSeen = true;
                watch.Disarm();
            }
            if (batch.Items.Count > 0)
            {
                _idleReads = 0;
                return true;
            }
            if (_ended) return false;
            if (_endOfBytes)
            {
                try
                {
                    AtEndOfBytes(batch);
                }
                catch (MemoryExhaustedException exhausted)
                {
                    FailForMemory(batch, exhausted);
                }
                return batch.Items.Count > 0;
            }

            try
            {
                var read = await ReadBytesAsync(watch, cancellationToken);
                if (read == 0) _endOfBytes = true;
                else Take(read, batch);
            }
            catch (MemoryExhaustedException exhausted)
            {
                FailForMemory(batch, exhausted);
                continue;
            }
            catch (Exception e) when (e is OperationCanceledException or HttpRequestException or IOException or ObjectDisposedException)
            {
                watch.ThrowIfStoppedByCaller();
                cancellationToken.ThrowIfCancellationRequested();
                // After the last finish, neither a connection reset nor an open connection truncates anything.
                if (IsFinished)
                {
                    _endOfBytes = true;
                    continue;
                }
                FlushHalves(batch);
                Fail(batch, Exchange.Client.ToFailure(e, watch, Exchange.Attempt).Error);
            }
        }
    }

    public ValueTask DisposeAsync()
    {
        if (_disposed) return ValueTask.CompletedTask;
        _disposed = true;
        Held.Dispose();
        if (_ended && !_endOfBytes && _stream is not null && IsFinished)
        {
            // Handles its own errors. It is not awaited, and ends after the drain timeout.
            _ = DrainAsync(_stream);
            return ValueTask.CompletedTask;
        }
        Exchange.Dispose();
        _parser.Dispose();
        _document?.Dispose();
        return ValueTask.CompletedTask;
    }

    // Characters that the provider split between two events are joined before anything reads them.
    private void Receive(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, EventBatch batch)
    {
        if (!System.Text.Unicode.Utf8.IsValid(data)) data = HalfCharacters.WithoutInvalidBytes(data);
        if (_halves is not { IsHolding: true } && HalfCharacters.FindLone(data) < 0)
        {
            OnEvent(name, data, batch);
            return;
        }
        var repaired = (_halves ??= new HalfCharacters(Held)).Repair(name, data, out var before);
        foreach (var (heldName, held) in before)
        {
            if (!_ended) OnEvent(heldName, held, batch);
        }
        if (!_ended) OnEvent(name, repaired, batch);
    }

    private void FlushHalves(EventBatch batch)
    {
        if (_halves is not { IsHolding: true } halves) return;
        foreach (var (name, held) in halves.Flush())
        {
            if (!_ended) OnEvent(name, held, batch);
        }
    }

    // By the content and not by its label: events, or a whole document.
    private void Take(int read, EventBatch batch)
    {
        if (_document is { } document)
        {
            document.Advance(read);
            if (document.Length > UpstreamClient.MaxResponseBytes)
            {
                Fail(batch, new GatewayError(ErrorCode.ProviderError, "The model's provider sent a response that is too large."));
            }
            return;
        }
        if (!_isEventStream)
        {
            var start = _target.Span[..read].TrimStart("\uFEFF \t\r\n"u8);
            if (start.Length > 0 && start[0] is (byte)'{' or (byte)'[' or (byte)'<')
            {
                _document = new PooledBuffer(ReadBytes, Exchange.Attempt.Memory, uncounted: UpstreamExchange.UncountedBytes);
                _document.Write(start);
                return;
            }
            _isEventStream = start.Length > 0;
        }
        _parser.Advance(read);
    }

    private void AtEndOfDocument(EventBatch batch)
    {
        var whole = _document!.WrittenMemory;
        var lines = DocumentText.Split(whole);
        if (lines.Count > 0)
        {
            // One JSON object per line, or a list of events.
            foreach (var line in lines)
            {
                if (!_ended) Receive(default, line.Span, batch);
            }
            FlushHalves(batch);
            if (_ended) return;
            if (MayEnd) _ended = true;
            else Fail(batch, UpstreamClient.BrokenError);
            return;
        }
        if (HalfCharacters.RepairWhole(whole.Span) is { } repaired) whole = repaired;
        if (OnDocument(whole, batch) || _ended)
        {
            _ended = true;
            return;
        }
        if (Exchange.Attempt.Meter.FailedReason is not null)
        {
            FailReason(batch);
            return;
        }
        var error = UpstreamErrorBody.Find(whole.Span)
            ?? (UpstreamErrorBody.Parse(whole) is { IsEmpty: false } parsed && (parsed.Message is not null || parsed.Code is not null)
                ? parsed
                : null);
        UpstreamLog.Answered(Exchange.Client.Logger, Exchange.Attempt.Deployment.ProviderName, Exchange.Attempt.Deployment.Name,
            Exchange.Attempt.UpstreamStatus ?? 0, "no event stream");
        Fail(batch, error is null
            ? new GatewayError(ErrorCode.ProviderError, "The model's provider sent a response that cannot be read.")
            : UpstreamErrors.FromEvent(error));
    }

    private async ValueTask<int> ReadBytesAsync(AttemptWatch watch, CancellationToken cancellationToken)
    {
        if (_stream is null)
        {
            _stream = await Exchange.OpenBodyAsync();
            var first = await ReadFirstAsync(watch, cancellationToken);
            if (first >= 0) return first;
        }
        using var link = watch.Link(cancellationToken);
        _target = _document?.GetMemory(ReadBytes) ?? _parser.GetMemory(ReadBytes);
        var reading = _stream.ReadAsync(_target, watch.Token);
        if (reading.IsCompleted)
        {
            var ready = await reading;
            // Comments that arrive faster than they are read would occupy this thread, and twenty such streams would occupy every thread.
            if (++_idleReads % MaxIdleReads == 0) await Task.Yield();
            return ready;
        }
        _idleReads = 0;
        if (IsFinished) return await ReadAfterFinishAsync(reading, watch);
        if (!_contentSeen) return await reading;
        watch.Arm(WaitingFor.StreamIdle);
        var read = await reading;
        watch.Disarm();
        return read;
    }

    // Compressed events without a label are detected by their first bytes; -1 where they must be read again, decoded.
    private async ValueTask<int> ReadFirstAsync(AttemptWatch watch, CancellationToken cancellationToken)
    {
        using var link = watch.Link(cancellationToken);
        _target = _parser.GetMemory(ReadBytes);
        var read = await _stream!.ReadAsync(_target, watch.Token);
        if (read == 1 && ContentDecoding.MayBeCompressed(_target.Span[0])) read += await _stream.ReadAsync(_target[1..], watch.Token);
        if (!ContentDecoding.IsCompressed(_target.Span[..read])) return read;
        _stream = await ContentDecoding.OpenUnlabelledAsync(new PrefixedStream(_target[..read].ToArray(), _stream), watch.Token);
        return -1;
    }

    private async ValueTask<int> ReadAfterFinishAsync(ValueTask<int> reading, AttemptWatch watch)
    {
        var since = Exchange.Client.Time.GetTimestamp();
        watch.ArmEnd(_graceLeft);
        var read = await reading;
        watch.Disarm();
        // All waiting time counts, and nothing else: endless comments do not extend it.
        _graceLeft -= Exchange.Client.Time.GetElapsedTime(since);
        return read;
    }

    private void AtEndOfBytes(EventBatch batch)
    {
        if (_document is not null)
        {
            AtEndOfDocument(batch);
            return;
        }
        FlushHalves(batch);
        if (_ended) return;
        if (MayEnd)
        {
            OnEnd(batch);
            _ended = true;
            return;
        }
        UpstreamLog.BrokeOff(Exchange.Client.Logger, Exchange.Attempt.Deployment.ProviderName, Exchange.Attempt.Deployment.Name,
            "stream without an end");
        Fail(batch, UpstreamClient.BrokenError);
    }

    private async Task DrainAsync(Stream stream)
    {
        using var timeout = new CancellationTokenSource(DrainTimeout, Exchange.Client.Time);
        try
        {
            // The end of the bytes usually follows the end mark immediately.
            for (var reads = 0; reads < 4 && await stream.ReadAsync(_parser.GetMemory(ReadBytes), timeout.Token) > 0; reads++)
            {
            }
        }
        catch (Exception e) when (e is OperationCanceledException or HttpRequestException or IOException or ObjectDisposedException)
        {
            // Then the connection is not used again.
        }
        finally
        {
            Exchange.Dispose();
            _parser.Dispose();
        }
    }
}
