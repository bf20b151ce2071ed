using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Logging;

namespace Fairlead.FunctionalTests.Processes;

/// <summary>One process serves from a data folder at a time, whichever database it uses; commands work beside it.</summary>
public sealed class DataFolderTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-folder").FullName;
    private FakeUpstream _upstream = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private string LockFile => Path.Combine(_folder, "data", "fairlead.lock");

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        await File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), _upstream.Yaml() + "\n  drainTimeout: 60s\n", Cancel);
    }

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task SecondServe_FirstRunning_FailsAfterFiveSecondsNamingFolderAndOwner()
    {
        await using var first = await ServerProcess.ServeAsync(_folder);
        var holder = JsonDocument.Parse(await File.ReadAllTextAsync(LockFile, Cancel)).RootElement;
        Assert.Equal((first.Process.Id, Environment.MachineName, "running"), (holder.GetProperty("process").GetInt32(), holder.GetProperty("host").GetString()!, holder.GetProperty("state").GetString()!));
        Assert.True(holder.GetProperty("started_at").GetDateTimeOffset() <= TimeProvider.System.GetUtcNow());

        var since = TimeProvider.System.GetTimestamp();
        await using var second = ServerProcess.Start(_folder, ["serve", "--urls", "http://127.0.0.1:0"]);
        Assert.Equal(1, await second.ExitAsync());
        Assert.True(TimeProvider.System.GetElapsedTime(since) >= TimeSpan.FromSeconds(5));
        Assert.Contains(Path.Combine(_folder, "data"), second.Error, StringComparison.Ordinal);
        Assert.Contains($"process {first.Process.Id} on {Environment.MachineName}", second.Error, StringComparison.Ordinal);
        Assert.Equal("ok\n", await first.TextAsync("/readyz"));

        await using var keys = ServerProcess.Start(_folder, ["keys", "create", "beside"]);
        Assert.Equal(0, await keys.ExitAsync());
        await using var check = ServerProcess.Start(_folder, ["config", "check"]);
        Assert.Equal(0, await check.ExitAsync());
    }

    [Fact]
    public async Task Kill_DataFolderOwner_ReleasesFolderImmediately()
    {
        await using (var first = await ServerProcess.ServeAsync(_folder)) await first.KillAsync();
        Assert.Contains("running", await File.ReadAllTextAsync(LockFile, Cancel), StringComparison.Ordinal);
        await using var second = await ServerProcess.ServeAsync(_folder);
        Assert.DoesNotContain("Waiting", second.Error, StringComparison.Ordinal);
        Assert.Contains(second.Process.Id.ToString(null, null), await File.ReadAllTextAsync(LockFile, Cancel), StringComparison.Ordinal);
        Assert.Equal(0, await second.TerminateAsync());
        Assert.False(File.Exists(LockFile));
    }

    [Fact]
    public async Task SecondServe_FirstDraining_IsLiveButNotReadyThenTakesOver()
    {
        var held = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"a"}"""));
            await held.Task.WaitAsync(context.RequestAborted);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        await using var first = await ServerProcess.ServeAsync(_folder);
        using var open = await ProcessCalls.PostAsync(first, await first.ClientKeyAsync(), """{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}""");
        Assert.Equal(HttpStatusCode.OK, open.StatusCode);
        await first.SignalAsync("TERM");
        while (!(await File.ReadAllTextAsync(LockFile, Cancel)).Contains("draining", StringComparison.Ordinal)) await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, Cancel);

        var address = $"http://127.0.0.1:{FreePort()}";
        await using var second = ServerProcess.Start(_folder, ["--urls", address]);
        await UntilAsync(second, address + "/livez", HttpStatusCode.OK);
        await UntilAsync(second, address + "/readyz", HttpStatusCode.ServiceUnavailable);
        Assert.DoesNotContain("listens on", second.Output, StringComparison.Ordinal);

        held.SetResult();
        var stream = await SeenStream.ReadAsync(open, Cancel);
        Assert.False(stream.Broken, stream.Raw);
        Assert.Equal(0, await first.ExitAsync());
        await second.ListeningAsync();
        await UntilAsync(second, address + "/readyz", HttpStatusCode.OK);
        Assert.Contains("\"running\"", await File.ReadAllTextAsync(LockFile, Cancel), StringComparison.Ordinal);
    }

    [Fact]
    public async Task SecondServe_SameAddressWhileFirstDrains_ListensOnceFree()
    {
        var held = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"a"}"""));
            await held.Task.WaitAsync(context.RequestAborted);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        await using var first = await ServerProcess.ServeAsync(_folder);
        using var open = await ProcessCalls.PostAsync(first, await first.ClientKeyAsync(), """{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}""");
        await first.SignalAsync("TERM");
        while (!(await File.ReadAllTextAsync(LockFile, Cancel)).Contains("draining", StringComparison.Ordinal)) await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, Cancel);

        await using var second = ServerProcess.Start(_folder, ["--urls", first.Address]);
        await second.LineAsync(line => line.StartsWith("Waiting for the data folder", StringComparison.Ordinal));
        held.SetResult();
        Assert.Equal(0, await first.ExitAsync());
        await second.ListeningAsync();
        Assert.Equal(first.Address, second.Address);
        Assert.Equal("ok\n", await second.TextAsync("/readyz"));
    }

    [Fact]
    public async Task SecondServe_StoppedWhileWaiting_Exits()
    {
        var held = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"a"}"""));
            await held.Task.WaitAsync(context.RequestAborted);
        };
        await using var first = await ServerProcess.ServeAsync(_folder);
        using var open = await ProcessCalls.PostAsync(first, await first.ClientKeyAsync(), """{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}""");
        await first.SignalAsync("TERM");
        while (!(await File.ReadAllTextAsync(LockFile, Cancel)).Contains("draining", StringComparison.Ordinal)) await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, Cancel);
        var address = $"http://127.0.0.1:{FreePort()}";
        await using var second = ServerProcess.Start(_folder, ["--urls", address]);
        await UntilAsync(second, address + "/livez", HttpStatusCode.OK);
        Assert.Equal(0, await second.TerminateAsync());
        held.SetResult();
    }

    [Fact]
    public async Task TwoApps_SameDataFolder_SecondIsRefused()
    {
        var data = Path.Combine(_folder, "embedded");
        await using (var first = App())
        {
            first.MapFairlead();
            await using var second = App();
            var refusal = Assert.ThrowsAny<Exception>(() => second.MapFairlead());
            Assert.Contains(data, refusal.Message, StringComparison.Ordinal);
            Assert.Contains($"process {Environment.ProcessId}", refusal.Message, StringComparison.Ordinal);
        }
        await using var third = App();
        third.MapFairlead();

        WebApplication App()
        {
            var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = _folder });
            builder.Logging.ClearProviders();
            builder.AddFairlead(new ConfigurationInput { WorkingDirectory = _folder, Environment = new Dictionary<string, string> { ["FAIRLEAD_DATA"] = data } });
            return builder.Build();
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static async Task UntilAsync(ServerProcess server, string address, HttpStatusCode status)
    {
        var since = Stopwatch.StartNew();
        while (true)
        {
            Assert.False(server.Process.HasExited, server.Error);
            try
            {
                using var answer = await server.Client.GetAsync(new Uri(address), Cancel);
                if (answer.StatusCode == status) return;
            }
            catch (HttpRequestException)
            {
                // The server does not listen yet, or does not listen for a moment.
            }
            Assert.True(since.Elapsed < TimeSpan.FromSeconds(60), $"{address} does not answer {status}: {server.Output}{server.Error}");
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, Cancel);
        }
    }
}
