using System.Diagnostics;
using System.Net;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Processes;

/// <summary>The program on a separate file system that is really full. Requires permission to mount one.</summary>
public sealed class DiskFullTests : IAsyncLifetime
{
    private const string Chat = """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}],"fairlead":{"batch_tokens":1}}""";
    private const string Unknown = """{"model":"nobody","messages":[{"role":"user","content":"hi"}]}""";

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-full").FullName;
    private FakeUpstream _upstream = null!;
    private bool _mounted;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        // One segment of the spool and the database fit, the segment in advance does not.
        _mounted = await RunAsync("mount", "-t", "tmpfs", "-o", "size=26m", "tmpfs", _folder);
        _upstream = await FakeUpstream.StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        if (_mounted) await RunAsync("umount", "-l", _folder);
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task DiskFull_FloodOfRefusals_KeepsDeliveredCallRecordAndSmallLog()
    {
        Assert.SkipUnless(_mounted, "No file system can be mounted here.");
        var began = new TaskCompletionSource();
        var release = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"a"}"""));
            began.TrySetResult();
            await release.Task.WaitAsync(context.RequestAborted);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        await File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), _upstream.Yaml(), Cancel);
        await using var server = await ServerProcess.ServeAsync(_folder, ("FAIRLEAD_ADMIN_KEY", TestGateway.AdminKey));
        var key = await server.ClientKeyAsync();
        var started = TimeProvider.System.GetTimestamp();
        using var stream = await ProcessCalls.PostAsync(server, key, Chat);
        await began.Task.WaitAsync(Cancel);
        var generation = stream.Headers.GetValues("Fairlead-Generation").Single();

        var filler = Path.Combine(_folder, "filler");
        Fill(filler);
        await Parallel.ForAsync(0, 4000, new ParallelOptions { MaxDegreeOfParallelism = 16, CancellationToken = Cancel }, async (_, _) =>
        {
            using var refused = await ProcessCalls.PostAsync(server, key, Unknown);
            Assert.Equal(HttpStatusCode.NotFound, refused.StatusCode);
        });
        release.SetResult();
        var seen = await SeenStream.ReadAsync(stream, Cancel);
        Assert.False(seen.Broken);
        Assert.EndsWith("data: [DONE]\n\n", seen.Raw, StringComparison.Ordinal);
        // What was delivered is on the disk, full as it is.
        var spool = Directory.GetFiles(_folder, "*.seg", SearchOption.AllDirectories);
        Assert.Contains(spool, segment => File.ReadAllBytes(segment).AsSpan().IndexOf(System.Text.Encoding.ASCII.GetBytes("\"outcome\":\"complete\",\"error_code\":null,\"status\":200")) >= 0);

        var log = server.Output + server.Error;
        var seconds = TimeProvider.System.GetElapsedTime(started).TotalSeconds;
        Assert.Contains("The record of a refused call was dropped", log, StringComparison.Ordinal);
        Assert.InRange(log.Split('\n').Count(line => line.Contains("refused call was dropped", StringComparison.Ordinal)), 1, seconds + 2);
        Assert.InRange(log.Length, 0, 200_000);

        File.Delete(filler);
        var records = await AuditSight.RecordsWhenAsync(server, records => records.Exists(record => record.GetProperty("generation_id").GetString() == generation));
        var delivered = Assert.Single(records, record => record.GetProperty("generation_id").GetString() == generation);
        Assert.Equal("complete", delivered.GetProperty("outcome").GetString());
    }

    private static void Fill(string path)
    {
        using var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        var zeros = new byte[4096];
        try
        {
            while (true) file.Write(zeros);
        }
        catch (IOException)
        {
            // Now it is full.
        }
    }

    private static async Task<bool> RunAsync(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
            await process.WaitForExitAsync(CancellationToken.None);
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
