using System.Buffers;
using System.IO.Pipelines;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Delivery;

/// <summary>
/// The client's side of one stream: what is written, in whole events, by the delivery; and the keep-alive comments of the sweep, never in
/// the middle of one.
/// </summary>
internal sealed class OpenStream(PipeWriter output, GatewayCall call) : IAsyncDisposable
{
    private static readonly byte[] KeepAlive = ": keep-alive\n\n"u8.ToArray();

    private readonly SemaphoreSlim _gate = new(1, 1);
    private long _lastWrite = call.Timings.Now();
    private long _checkpointed;
    private bool _closed;

    public GatewayCall Call => call;

    /// <summary>Set once a write found the client gone.</summary>
    public bool ClientGone { get; private set; }

    /// <summary>Writes that have reached the output, or the log of who repeats the request; not necessarily the client.</summary>
    public long Writes { get; private set; }

    /// <summary>The client is too slow to be waited for: a write that waits for it goes on, and nothing more is sent to it.</summary>
    public void GiveUp()
    {
        ClientGone = true;
        output.CancelPendingFlush();
    }

    /// <summary>Set while a write has put only a part of its events into the output: what follows could not be told from it.</summary>
    public bool Torn { get; private set; }

    /// <summary>
    /// Lets <paramref name="write"/> put whole events into the output and flushes them together. They are kept for who repeats the request, where
    /// it may be repeated, also when the client is gone.
    /// </summary>
    public async ValueTask WriteAsync<TState>(Action<TState, IBufferWriter<byte>> write, TState state, CancellationToken cancellationToken)
    {
        var log = call.Idempotency?.Log;
        if (ClientGone && log is null) return;
        await _gate.WaitAsync(cancellationToken);
        try
        {
            Torn = true;
            if (log is null) write(state, output);
            else WriteBoth(write, state, log);
            Torn = false;
            Writes++;
            if (ClientGone || output.UnflushedBytes == 0) return;
            _lastWrite = call.Timings.Now();
            var result = await output.FlushAsync(cancellationToken);
            if (result.IsCompleted) ClientGone = true;
        }
        finally
        {
            _gate.Release();
        }
    }

    private void WriteBoth<TState>(Action<TState, IBufferWriter<byte>> write, TState state, ReplayLog log)
    {
        using var buffer = new PooledBuffer();
        write(state, buffer);
        log.Append(buffer.WrittenSpan);
        if (!ClientGone) output.Write(buffer.WrittenSpan);
    }

    /// <summary>Sends a comment when nothing was written for <paramref name="pause"/>; skips when a write is under way.</summary>
    public async ValueTask KeepAliveAsync(TimeSpan pause, CancellationToken cancellationToken)
    {
        if (ClientGone || call.Time.GetElapsedTime(Volatile.Read(ref _lastWrite)) < pause) return;
        if (!await _gate.WaitAsync(TimeSpan.Zero, cancellationToken)) return;
        try
        {
            if (_closed || Torn) return;
            _lastWrite = call.Timings.Now();
            var result = await output.WriteAsync(KeepAlive, cancellationToken);
            if (result.IsCompleted) ClientGone = true;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Whether output has been made since the last time this was asked, so that a checkpoint is worth writing.</summary>
    public bool TakeProgress()
    {
        if (call.Answering is not { } attempt || call.Ending is not null) return false;
        var made = attempt.Meter.OutputBytes;
        if (made == _checkpointed) return false;
        _checkpointed = made;
        return true;
    }

    /// <summary>
    /// Returns when no keep-alive is under way any more; none comes after. The output belongs to the connection, whose next answer it will
    /// carry, so nothing may reach it once this one is over.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        await _gate.WaitAsync();
        _closed = true;
        _gate.Release();
    }
}
