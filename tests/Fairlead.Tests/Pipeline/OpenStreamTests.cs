using System.IO.Pipelines;
using System.Text;
using Fairlead.Configuration;
using Fairlead.Pipeline;
using Fairlead.Tests.Auditing;
using Fairlead.Tests.Catalogue;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Pipeline;

public sealed class OpenStreamTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task KeepAlive_AfterTheEnd_WritesNothing()
    {
        var pipe = new Pipe();
        var stream = new OpenStream(pipe.Writer, RecordedCalls.New());
        await stream.KeepAliveAsync(TimeSpan.Zero, Cancel);
        await stream.DisposeAsync();
        // The output is the connection's: by now it may carry the next answer.
        await stream.KeepAliveAsync(TimeSpan.Zero, Cancel);
        await pipe.Writer.CompleteAsync();
        Assert.Equal(": keep-alive\n\n", Encoding.UTF8.GetString((await pipe.Reader.ReadAsync(Cancel)).Buffer));
    }

    [Fact]
    public async Task End_WhileAKeepAliveIsUnderWay_WaitsForIt()
    {
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 1, resumeWriterThreshold: 1));
        var stream = new OpenStream(pipe.Writer, RecordedCalls.New());
        var sending = stream.KeepAliveAsync(TimeSpan.Zero, Cancel).AsTask();
        var ending = stream.DisposeAsync().AsTask();
        Assert.False(ending.IsCompleted);
        pipe.Reader.AdvanceTo((await pipe.Reader.ReadAsync(Cancel)).Buffer.End);
        await sending.WaitAsync(TimeSpan.FromSeconds(10), Cancel);
        await ending.WaitAsync(TimeSpan.FromSeconds(10), Cancel);
    }

    [Fact]
    public async Task Sweep_OneClientDoesNotRead_OthersGetTheirComments()
    {
        var time = new FakeTimeProvider();
        var sweep = new StreamSweep(null!, new FakeConfigurationSource(new GatewayConfiguration()), time, NullLogger<StreamSweep>.Instance);
        var pipes = Enumerable.Range(0, 8).Select(_ => new Pipe(new PipeOptions(pauseWriterThreshold: 1, resumeWriterThreshold: 1))).ToList();
        foreach (var pipe in pipes) sweep.Add(new OpenStream(pipe.Writer, RecordedCalls.New(time)));
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
    public void Warnings_WhileTheyAreRead_MayGrow()
    {
        var call = RecordedCalls.New();
        call.Warn("a", "first");
        call.Warn("a", "first");
        foreach (var warning in call.Warnings) call.Warn("b", "of another thread, while headers are written " + warning.Code);
        Assert.Equal(["a", "b"], call.Warnings.Select(warning => warning.Code));
    }
}
