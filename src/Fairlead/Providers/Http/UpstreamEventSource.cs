using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Memory;
using Fairlead.Streaming;

namespace Fairlead.Providers.Http;

/// <summary>
/// Reads a provider's stream of server-sent events and keeps it honest: it ends with the provider's end mark or after the finish of every choice,
/// and everything else becomes <see cref="AttemptFailed"/>. One per stream; one reader.
/// </summary>
internal abstract class UpstreamEventSource(UpstreamExchange exchange) : IEventSource
{
    // Small, since it stays rented while the stream waits; a delta is some 200 bytes.
    private const int ReadBytes = 4096;

    /// <summary>So many reads in a row that brought no event and did not have to wait; then other work gets its turn.</summary>
    private const int MaxIdleReads = 16;

    /// <summary>How long the end of the connection is awaited after the end mark, so that the connection can be used again.</summary>
    private static readonly TimeSpan DrainTimeout = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// How long usage and the end mark are awaited in all after the last finish. They come right behind it or never: the answer is whole, and its
    /// last event waits for this.
    /// </summary>
    internal static readonly TimeSpan EndGrace = TimeSpan.FromSeconds(2);

    private readonly SseParser _parser = new(budget: exchange.Attempt.Memory);
    private TimeSpan _graceLeft = EndGrace;
    private int _idleReads;
    private Stream? _stream;
    private bool _contentSeen;
    private bool _ended;
    private bool _endOfBytes;
    private bool _disposed;

    public bool BuffersAhead => true;

    protected UpstreamExchange Exchange { get; } = exchange;

    /// <summary>Whether every choice has ended, so that the end of the bytes is an end and not a cut.</summary>
    protected abstract bool IsFinished { get; }

    /// <summary>Takes one event: adds what it means to <paramref name="batch"/>, or calls <see cref="End"/> or <see cref="Fail"/>.</summary>
    protected abstract void OnEvent(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, EventBatch batch);

    /// <summary>The bytes ended after the finish; the last chance to add something.</summary>
    protected virtual void OnEnd(EventBatch batch)
    {
    }

    /// <summary>The provider's end mark came: nothing after it is read.</summary>
    protected void End() => _ended = true;

    /// <summary>Ends the stream with the provider's own error, classified like the body of an error status.</summary>
    protected void FailWith(EventBatch batch, UpstreamErrorBody body)
    {
        UpstreamErrors.LogEvent(body, Exchange.Attempt, Exchange.Client.Logger);
        Fail(batch, UpstreamErrors.FromEvent(body));
    }

    /// <summary>The attempt broke: the last item.</summary>
    protected void Fail(EventBatch batch, GatewayError error)
    {
        var at = batch.Items.Count;
        batch.Add(new AttemptFailed(error));
        // What is held of a call leaves before the end.
        Exchange.Tools?.Restore(batch, at);
        _ended = true;
    }

    public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        batch.Clear();
        var watch = Exchange.Watch;
        while (true)
        {
            while (!_ended && _parser.TryRead(out var name, out var data)) OnEvent(name, data, batch);
            if (!_ended && _parser.TooLarge)
            {
                UpstreamLog.BrokeOff(Exchange.Client.Logger, Exchange.Attempt.Deployment.ProviderName, Exchange.Attempt.Deployment.Name, "event too large");
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
                AtEndOfBytes(batch);
                return batch.Items.Count > 0;
            }

            try
            {
                var read = await ReadBytesAsync(watch, cancellationToken);
                if (read == 0) _endOfBytes = true;
                else _parser.Advance(read);
            }
            catch (MemoryExhaustedException exhausted)
            {
                UpstreamLog.BrokeOff(Exchange.Client.Logger, Exchange.Attempt.Deployment.ProviderName, Exchange.Attempt.Deployment.Name, "no memory for an event");
                Fail(batch, exhausted.Error);
                continue;
            }
            catch (Exception e) when (e is OperationCanceledException or HttpRequestException or IOException or ObjectDisposedException)
            {
                watch.ThrowIfStoppedByCaller();
                cancellationToken.ThrowIfCancellationRequested();
                // A reset behind the last finish has cut nothing, nor has a provider that leaves the connection open there.
                if (IsFinished)
                {
                    _endOfBytes = true;
                    continue;
                }
                Fail(batch, Exchange.Client.ToFailure(e, watch, Exchange.Attempt).Error);
            }
        }
    }

    public ValueTask DisposeAsync()
    {
        if (_disposed) return ValueTask.CompletedTask;
        _disposed = true;
        if (_ended && !_endOfBytes && _stream is not null && IsFinished)
        {
            // Its own errors end in it; nobody waits for it, and it is over after the drain timeout.
            _ = DrainAsync(_stream);
            return ValueTask.CompletedTask;
        }
        Exchange.Dispose();
        _parser.Dispose();
        return ValueTask.CompletedTask;
    }

    private async ValueTask<int> ReadBytesAsync(AttemptWatch watch, CancellationToken cancellationToken)
    {
        _stream ??= await Exchange.Response.Content.ReadAsStreamAsync(watch.Token);
        using var link = watch.Link(cancellationToken);
        var reading = _stream.ReadAsync(_parser.GetMemory(ReadBytes), watch.Token);
        if (reading.IsCompleted)
        {
            var ready = await reading;
            // Comments that come faster than they are read would keep this thread for themselves, and twenty such streams every thread there is.
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

    private async ValueTask<int> ReadAfterFinishAsync(ValueTask<int> reading, AttemptWatch watch)
    {
        var since = Exchange.Client.Time.GetTimestamp();
        watch.ArmEnd(_graceLeft);
        var read = await reading;
        watch.Disarm();
        // Only the waiting counts, and all of it: comments for ever are no end either.
        _graceLeft -= Exchange.Client.Time.GetElapsedTime(since);
        return read;
    }

    private void AtEndOfBytes(EventBatch batch)
    {
        if (IsFinished)
        {
            OnEnd(batch);
            _ended = true;
            return;
        }
        UpstreamLog.BrokeOff(Exchange.Client.Logger, Exchange.Attempt.Deployment.ProviderName, Exchange.Attempt.Deployment.Name, "stream without an end");
        Fail(batch, UpstreamClient.BrokenError);
    }

    private async Task DrainAsync(Stream stream)
    {
        using var timeout = new CancellationTokenSource(DrainTimeout, Exchange.Client.Time);
        try
        {
            // The end of the bytes usually stands right behind the end mark.
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
