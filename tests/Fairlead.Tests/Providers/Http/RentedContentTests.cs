using System.IO.Pipelines;
using Fairlead.Providers.Http;

namespace Fairlead.Tests.Providers.Http;

public sealed class RentedContentTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Release_WhileBodyIsSent_WaitsForLastByte()
    {
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 1, resumeWriterThreshold: 1));
        using var content = new RentedContent(new byte[100]);
        var sending = content.CopyToAsync(pipe.Writer.AsStream(), Cancel);
        var released = content.ReleaseAsync();
        Assert.False(released.IsCompleted);
        pipe.Reader.AdvanceTo((await pipe.Reader.ReadAsync(Cancel)).Buffer.End);
        await sending.WaitAsync(TimeSpan.FromSeconds(10), Cancel);
        await released.WaitAsync(TimeSpan.FromSeconds(10), Cancel);
    }

    [Fact]
    public async Task Release_SendCancelled_Completes()
    {
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 1, resumeWriterThreshold: 1));
        using var stop = new CancellationTokenSource();
        using var content = new RentedContent(new byte[100]);
        var sending = content.CopyToAsync(pipe.Writer.AsStream(), stop.Token);
        var released = content.ReleaseAsync();
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending);
        await released.WaitAsync(TimeSpan.FromSeconds(10), Cancel);
    }

    [Fact]
    public async Task Send_AfterRelease_Throws()
    {
        using var content = new RentedContent(new byte[100]);
        await content.ReleaseAsync();
        await Assert.ThrowsAnyAsync<Exception>(() => content.CopyToAsync(Stream.Null, Cancel));
    }

    [Fact]
    public void ContentLength_RentedContent_EqualsBodyLength()
    {
        using var content = new RentedContent(new byte[100]);
        Assert.Equal(100, content.Headers.ContentLength);
    }
}
