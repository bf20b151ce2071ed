using System.Collections.Concurrent;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;

namespace Fairlead.FunctionalTests.Processes;

public sealed class SqliteContentKillTests() : ContentKillTests(StorageProvider.Sqlite);

public sealed class PostgresContentKillTests() : ContentKillTests(StorageProvider.Postgres);

/// <summary>The program killed without warning: a call whose response a client has whole has its content, and the command proves it.</summary>
public abstract class ContentKillTests : IAsyncLifetime
{
    private const int Rounds = 3;
    private const int Clients = 8;

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-content-kill").FullName;
    private readonly string? _postgres;

    private protected ContentKillTests(StorageProvider provider) => _postgres = provider == StorageProvider.Postgres ? TestPostgres.CreateDatabase() : null;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => await File.WriteAllTextAsync(
        Path.Combine(_folder, "fairlead.yaml"), "fairlead:\n  audit: { content: full, encryptContent: true }\n", Cancel);

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        if (_postgres is not null) TestPostgres.DropDatabase(_postgres);
        GC.SuppressFinalize(this);
        return default;
    }

    [Fact]
    public async Task Kill_WhileCallsEnd_KeepsContentWithItsRecord()
    {
        var finished = new ConcurrentBag<string>();
        var server = await ServeAsync();
        try
        {
            var key = await server.ClientKeyAsync();
            for (var round = 0; round < Rounds; round++)
            {
                var enough = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                var until = finished.Count + (10 * Clients);
                var calls = Enumerable.Range(0, Clients).Select(client => CallAsync(server, key, $"{round}-{client}", finished, until, enough)).ToArray();
                await enough.Task.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancel);
                await server.KillAsync();
                await Task.WhenAll(calls);
                await server.DisposeAsync();
                server = await ServeAsync();
            }
            var contents = await ContentsWhenAsync(server, finished);
            Assert.Subset(contents, finished.ToHashSet(StringComparer.Ordinal));
            Assert.True(finished.Count >= Rounds * 10 * Clients);

            await using var verify = ServerProcess.Start(_folder, ["audit", "verify"], Store());
            Assert.True(await verify.ExitAsync() == 0, verify.Output + verify.Error);
            Assert.Contains("content(s)", verify.Output, StringComparison.Ordinal);
        }
        finally
        {
            await server.DisposeAsync();
        }
    }

    // What a killed process left is shipped after the start.
    private static async Task<HashSet<string>> ContentsWhenAsync(ServerProcess server, IReadOnlyCollection<string> expected)
    {
        var since = TimeProvider.System.GetTimestamp();
        while (true)
        {
            var contents = await ContentsAsync(server);
            if (contents.IsSupersetOf(expected) || TimeProvider.System.GetElapsedTime(since) > TimeSpan.FromSeconds(30)) return contents;
            await Task.Delay(TimeSpan.FromMilliseconds(200), TimeProvider.System, Cancel);
        }
    }

    private static async Task<HashSet<string>> ContentsAsync(ServerProcess server)
    {
        var contents = new HashSet<string>(StringComparer.Ordinal);
        string? cursor = null;
        do
        {
            var page = await AuditSight.AdminAsync(server, "/admin/v1/audit?include=content&limit=100" + (cursor is null ? "" : "&cursor=" + cursor));
            foreach (var record in page.GetProperty("data").EnumerateArray())
            {
                // A call that was lost has none.
                if (record.GetProperty("content") is not { ValueKind: JsonValueKind.Object } content) continue;
                Assert.False(content.TryGetProperty("unavailable", out var why), why.ToString());
                if (content.GetProperty("output") is { ValueKind: JsonValueKind.Array } output && output.GetArrayLength() > 0)
                    contents.Add(output[0].GetProperty("parts")[0].GetProperty("text").GetString()!);
            }
            cursor = page.GetProperty("next_cursor").GetString();
        }
        while (cursor is not null);
        return contents;
    }

    private static async Task CallAsync(ServerProcess server, string key, string client, ConcurrentBag<string> finished, int until, TaskCompletionSource enough)
    {
        for (var i = 0; ; i++)
        {
            var text = $"words {client}-{i}";
            try
            {
                using var response = await ProcessCalls.PostAsync(
                    server, key, $$"""{"model":"sim-echo","stream":{{(i % 2 == 0 ? "true" : "false")}},"messages":[{"role":"user","content":"{{text}}"}]}""");
                var body = await response.Content.ReadAsStringAsync(Cancel);
                if (!response.IsSuccessStatusCode || (i % 2 == 0 && !body.Contains("[DONE]", StringComparison.Ordinal))) return;
            }
            catch (Exception e) when (e is HttpRequestException or IOException)
            {
                return;
            }
            finished.Add(text);
            if (finished.Count >= until) enough.TrySetResult();
        }
    }

    private Task<ServerProcess> ServeAsync() => ServerProcess.ServeAsync(_folder, [("FAIRLEAD_ADMIN_KEY", TestGateway.AdminKey), .. Store()]);

    private (string, string)[] Store() => _postgres is null ? [] : [("Fairlead__Storage__ConnectionString", _postgres)];
}
