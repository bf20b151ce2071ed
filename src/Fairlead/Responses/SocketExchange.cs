using System.IO.Pipelines;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Fairlead.Responses;

/// <summary>The answer to one request that came as a message: what an endpoint writes, read again at the other end of a pipe.</summary>
internal sealed class SocketExchange : IHttpResponseFeature, IHttpResponseBodyFeature, IHttpRequestLifetimeFeature
{
    private readonly Pipe _pipe = new();
    private readonly Action _abort;
    private readonly List<(Func<object, Task> Callback, object State)> _starting = [];
    private readonly List<(Func<object, Task> Callback, object State)> _completed = [];

    /// <param name="abort">Breaks the exchange off.</param>
    /// <param name="aborted">Fires when nobody wants the answer any more.</param>
    public SocketExchange(Action abort, CancellationToken aborted)
    {
        RequestAborted = aborted;
        _abort = abort;
        Writer = new StartingWriter(this, _pipe.Writer);
        Stream = Writer.AsStream();
    }

    /// <summary>What was written.</summary>
    public PipeReader Reader => _pipe.Reader;

    public int StatusCode { get; set; } = StatusCodes.Status200OK;

    public string? ReasonPhrase { get; set; }

    public IHeaderDictionary Headers { get; set; } = new HeaderDictionary();

    public Stream Body { get; set; } = Stream.Null;

    public bool HasStarted { get; private set; }

    public Stream Stream { get; }

    public PipeWriter Writer { get; }

    public CancellationToken RequestAborted { get; set; }

    public void Abort() => _abort();

    public void OnStarting(Func<object, Task> callback, object state) => _starting.Add((callback, state));

    public void OnCompleted(Func<object, Task> callback, object state) => _completed.Add((callback, state));

    public void DisableBuffering()
    {
        // There is none.
    }

    public async Task StartAsync(CancellationToken cancellationToken = default)
    {
        if (HasStarted) return;
        HasStarted = true;
        for (var i = _starting.Count - 1; i >= 0; i--) await _starting[i].Callback(_starting[i].State);
    }

    public Task SendFileAsync(string path, long offset, long? count, CancellationToken cancellationToken = default) => SendFileFallback.SendFileAsync(Stream, path, offset, count, cancellationToken);

    public async Task CompleteAsync()
    {
        await StartAsync();
        await _pipe.Writer.CompleteAsync();
        for (var i = _completed.Count - 1; i >= 0; i--) await _completed[i].Callback(_completed[i].State);
        _completed.Clear();
    }

    /// <summary>Notes that the head is fixed when the first bytes leave.</summary>
    private sealed class StartingWriter(SocketExchange exchange, PipeWriter inner) : PipeWriter
    {
        public override bool CanGetUnflushedBytes => true;

        public override long UnflushedBytes => inner.UnflushedBytes;

        public override void Advance(int bytes) => inner.Advance(bytes);

        public override Memory<byte> GetMemory(int sizeHint = 0) => inner.GetMemory(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => inner.GetSpan(sizeHint);

        public override void CancelPendingFlush() => inner.CancelPendingFlush();

        public override void Complete(Exception? exception = null) => inner.Complete(exception);

        public override async ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
        {
            await exchange.StartAsync(cancellationToken);
            return await inner.FlushAsync(cancellationToken);
        }
    }
}
