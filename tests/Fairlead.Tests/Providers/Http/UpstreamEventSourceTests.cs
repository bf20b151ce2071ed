using System.Net;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Providers.Http;
using Fairlead.Streaming;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Providers.Http;

public sealed class UpstreamEventSourceTests
{
    [Fact]
    public async Task SseComments_FasterThanRead_YieldThread()
    {
        using var stop = new CancellationTokenSource();
        await using var source = Of(": a comment\n"u8.ToArray(), null, stop.Token);
        using var batch = new EventBatch();
        // Without a turn for others this call would never return.
        var reading = source.ReadAsync(batch, stop.Token).AsTask();
        Assert.False(reading.IsCompleted);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Event_AboveMemoryBudget_EndsStreamAsOverloaded()
    {
        var budget = new MemoryBudget(() => 1024 * 1024);
        var source = Of("data: "u8.ToArray(), budget, CancellationToken.None);
        using (var batch = new EventBatch())
        {
            Assert.True(await source.ReadAsync(batch, TestContext.Current.CancellationToken));
            Assert.Equal(ErrorCode.Overloaded, Assert.IsType<AttemptFailed>(Assert.Single(batch.Items).Event).Error.Code);
            Assert.False(await source.ReadAsync(batch, TestContext.Current.CancellationToken));
        }
        await source.DisposeAsync();
        Assert.Equal(0, budget.Used);
    }

    private static Silent Of(byte[] piece, MemoryBudget? budget, CancellationToken stop)
    {
        var deployment = new Deployment { Name = "acme/large-1", ProviderName = "acme", UpstreamModel = "large-1" };
        var client = new UpstreamClient(new ProviderConfig { Kind = "openai" }, TimeProvider.System, NullLogger.Instance);
        var response = new HttpResponseMessage(HttpStatusCode.OK) { Content = new StreamContent(new Endless(piece)) };
        return new Silent(new UpstreamExchange(client, response, new AttemptWatch(deployment.Timeouts, TimeProvider.System, stop), new Attempt("att_1", 1, deployment) { Memory = budget }));
    }

    private sealed class Silent(UpstreamExchange exchange) : UpstreamEventSource(exchange)
    {
        protected override bool IsFinished => false;

        protected override void OnEvent(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, EventBatch batch)
        {
        }
    }

    /// <summary>Always has something, and never has to be waited for.</summary>
    private sealed class Endless(byte[] piece) : Stream
    {
        private int _position;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled<int>(cancellationToken);
            for (var i = 0; i < buffer.Length; i++) buffer.Span[i] = _position < piece.Length || piece[^1] == (byte)'\n' ? piece[_position++ % piece.Length] : (byte)'x';
            if (piece[^1] == (byte)'\n') _position %= piece.Length;
            return ValueTask.FromResult(buffer.Length);
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
