using System.Buffers;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;
using Fairlead.Streaming;

namespace Fairlead.Delivery;

/// <summary>
/// The output of one stream, with two writers: the delivery writes whole events, and the sweep writes keep-alive comments, never inside an
/// event. Thread-safe for these two.
/// </summary>
/// <param name="output">Where the events go.</param>
/// <param name="call">The call of the reader.</param>
/// <param name="restores">What the reader gets back of what was redacted; null for what the call itself knows.</param>
internal sealed class OpenStream(IEventOutput output, GatewayCall call, Originals? restores = null) : IAsyncDisposable
{
    private readonly SemaphoreSlim _gate = new(1, 1);
    private long _lastWrite = call.Timings.Now();
    private long _checkpointed;
    private bool _closed;

    public GatewayCall Call => call;

    /// <summary>Whether a write found that the client is gone.</summary>
    public bool ClientGone { get; private set; }

    /// <summary>Writes that reached the output, or the log for repeated requests; not necessarily the client.</summary>
    public long Writes { get; private set; }

    /// <summary>
    /// Whether a write failed inside an event. Nothing more may be written then: a client could not separate it from that event.
    /// </summary>
    public bool Torn { get; private set; }

    /// <summary>Stops waiting for a client that is too slow. Nothing more is sent to it.</summary>
    public void GiveUp()
    {
        ClientGone = true;
        output.CancelPendingFlush();
    }

    /// <summary>
    /// Lets <paramref name="write"/> put whole events into the output and sends them together. If the request may be repeated, they are
    /// also stored for that, even if the client is gone.
    /// </summary>
    public async ValueTask WriteAsync<TState>(Action<TState, IBufferWriter<byte>> write, TState state, CancellationToken cancellationToken)
    {
        var log = call.Idempotency?.Log;
        if (ClientGone && log is null) return;
        await _gate.WaitAsync(cancellationToken);
        try
        {
            Torn = true;
            var originals = restores ?? Originals.Of(call);
            if (log is null && originals is null) write(state, output.Buffer);
            else WriteBoth(write, state, log, originals);
            Torn = false;
            Writes++;
            if (ClientGone || !output.HasUnflushed) return;
            _lastWrite = call.Timings.Now();
            if (!await output.FlushAsync(cancellationToken)) ClientGone = true;
        }
        finally
        {
            _gate.Release();
        }
    }

    // Only the client gets what was redacted; what is kept has placeholders.
    private void WriteBoth<TState>(Action<TState, IBufferWriter<byte>> write, TState state, ReplayLog? log, Originals? originals)
    {
        using var buffer = new PooledBuffer();
        write(state, buffer);
        log?.Append(buffer.WrittenSpan);
        if (ClientGone) return;
        if (originals is null) output.Buffer.Write(buffer.WrittenSpan);
        else originals.Restore(buffer.WrittenSpan, output.Buffer);
    }

    /// <summary>Sends a comment if nothing was written for <paramref name="pause"/>. Does nothing while a write is in progress.</summary>
    public async ValueTask KeepAliveAsync(TimeSpan pause, CancellationToken cancellationToken)
    {
        if (ClientGone || output.KeepAlive.IsEmpty) return;
        if (call.Time.GetElapsedTime(Volatile.Read(ref _lastWrite)) < pause) return;
        if (!await _gate.WaitAsync(TimeSpan.Zero, cancellationToken)) return;
        try
        {
            if (_closed || Torn) return;
            _lastWrite = call.Timings.Now();
            output.Buffer.Write(output.KeepAlive.Span);
            if (!await output.FlushAsync(cancellationToken)) ClientGone = true;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Whether output was generated since the last call of this method, so that a checkpoint is useful.</summary>
    public bool TakeProgress()
    {
        if (call.Progressing is not { } attempt || call.Ending is not null) return false;
        var generated = attempt.Meter.OutputBytes;
        if (generated == _checkpointed) return false;
        _checkpointed = generated;
        return true;
    }

    /// <summary>
    /// Waits for a keep-alive that is being sent; none follows. The output belongs to the connection, which uses it for the next response.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        await _gate.WaitAsync();
        _closed = true;
        _gate.Release();
    }
}
