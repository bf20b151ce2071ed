using System.IO.Pipelines;
using System.Text;
using Fairlead.Configuration;
using Fairlead.Delivery;
using Fairlead.Tests.Auditing;
using Fairlead.Tests.Catalogue;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Delivery;

public sealed class OpenStreamTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task KeepAlive_StreamEnded_WritesNothing()
    {
        var pipe = new Pipe();
        var stream = new OpenStream(new HttpEventOutput(pipe.Writer), RecordedCalls.New());
        await stream.KeepAliveAsync(TimeSpan.Zero, Cancel);
        await stream.DisposeAsync();
        // The output belongs to the connection, which may carry the next response by now.
        await stream.KeepAliveAsync(TimeSpan.Zero, Cancel);
        await pipe.Writer.CompleteAsync();
        Assert.Equal(": keep-alive\n\n", Encoding.UTF8.GetString((await pipe.Reader.ReadAsync(Cancel)).Buffer));
    }

    [Fact]
    public async Task End_DuringKeepAliveWrite_WaitsForIt()
    {
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 1, resumeWriterThreshold: 1));
        var stream = new OpenStream(new HttpEventOutput(pipe.Writer), RecordedCalls.New());
        var sending = stream.KeepAliveAsync(TimeSpan.Zero, Cancel).AsTask();
        var ending = stream.DisposeAsync().AsTask();
        Assert.False(ending.IsCompleted);
        pipe.Reader.AdvanceTo((await pipe.Reader.ReadAsync(Cancel)).Buffer.End);
        await sending.WaitAsync(TimeSpan.FromSeconds(10), Cancel);
        await ending.WaitAsync(TimeSpan.FromSeconds(10), Cancel);
    }

    [Fact]
    public async Task Write_CancelledBeforeStart_IsNotCountedAsWritten()
    {
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 1, resumeWriterThreshold: 1));
        await using var stream = new OpenStream(new HttpEventOutput(pipe.Writer), RecordedCalls.New());
        using var stop = new CancellationTokenSource();
        // A keep-alive is being sent to a client that does not read, so the write has to wait.
        var comment = stream.KeepAliveAsync(TimeSpan.Zero, Cancel).AsTask();
        var waiting = stream.WriteAsync(static (text, output) => System.Buffers.BuffersExtensions.Write(output, text), "one"u8.ToArray(), stop.Token).AsTask();
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        Assert.Equal(0, stream.Writes);
        pipe.Reader.AdvanceTo((await pipe.Reader.ReadAsync(Cancel)).Buffer.End);
        await comment;
        // Stopped in its flush it is in the output, and comes with the next flush.
        using var late = new CancellationTokenSource();
        var flushing = stream.WriteAsync(static (text, output) => System.Buffers.BuffersExtensions.Write(output, text), "two"u8.ToArray(), late.Token).AsTask();
        await late.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => flushing);
        Assert.Equal(1, stream.Writes);
        Assert.False(stream.Torn);
        Assert.Equal("two", Encoding.UTF8.GetString((await pipe.Reader.ReadAsync(Cancel)).Buffer));
    }

    [Fact]
    public async Task GiveUp_WriteBlockedByClient_EndsWait()
    {
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 1, resumeWriterThreshold: 1));
        await using var stream = new OpenStream(new HttpEventOutput(pipe.Writer), RecordedCalls.New());
        var waiting = stream.WriteAsync(static (text, output) => System.Buffers.BuffersExtensions.Write(output, text), "one"u8.ToArray(), Cancel).AsTask();
        Assert.False(waiting.IsCompleted);
        stream.GiveUp();
        await waiting.WaitAsync(TimeSpan.FromSeconds(10), Cancel);
        Assert.True(stream.ClientGone);
    }

    [Fact]
    public async Task Sweep_OneClientNotReading_OthersGetKeepAlives()
    {
        var time = new FakeTimeProvider();
        var sweep = new StreamSweep(null!, new FakeConfigurationSource(new GatewayConfiguration()), time, NullLogger<StreamSweep>.Instance);
        var pipes = Enumerable.Range(0, 8).Select(_ => new Pipe(new PipeOptions(pauseWriterThreshold: 1, resumeWriterThreshold: 1))).ToList();
        foreach (var pipe in pipes) sweep.Add(new OpenStream(new HttpEventOutput(pipe.Writer), RecordedCalls.New(time)));
        time.Advance(TimeSpan.FromMinutes(1));
        // No reader has taken anything yet, so each of the writes waits.
        sweep.Sweep(Cancel);
        foreach (var pipe in pipes)
        {
            var read = await pipe.Reader.ReadAsync(Cancel).AsTask().WaitAsync(TimeSpan.FromSeconds(10), Cancel);
            Assert.Equal(": keep-alive\n\n", Encoding.UTF8.GetString(read.Buffer));
        }
    }

    [Fact]
    public void Warnings_AddedWhileEnumerating_DoesNotThrow()
    {
        var call = RecordedCalls.New();
        call.Warn("a", "first");
        call.Warn("a", "first");
        foreach (var warning in call.Warnings) call.Warn("b", "of another thread, while headers are written " + warning.Code);
        Assert.Equal(["a", "b"], call.Warnings.Select(warning => warning.Code));
    }
}
