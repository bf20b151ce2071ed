using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Processes;

public sealed class SqliteIdempotencyKillTests() : IdempotencyKillTests(StorageProvider.Sqlite);

public sealed class PostgresIdempotencyKillTests() : IdempotencyKillTests(StorageProvider.Postgres);

/// <summary>
/// Kills the program after it accepts a request with a key and before it responds. A repeated request reports this, and nothing runs twice.
/// </summary>
public abstract class IdempotencyKillTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-idempotency").FullName;
    private readonly string? _postgres;
    private FakeUpstream _upstream = null!;

    private protected IdempotencyKillTests(StorageProvider provider) => _postgres = provider == StorageProvider.Postgres ? TestPostgres.CreateDatabase() : null;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        await File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), _upstream.Yaml() + """

              jobs: { lease: 1s, workers: 2 }
            """, Cancel);
    }

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
        if (_postgres is not null) TestPostgres.DropDatabase(_postgres);
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Kill_WhileIdempotentRequestRuns_RepeatReturns500AndIsNotRun()
    {
        var arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var server = await ServeAsync();
        try
        {
            var key = await server.ClientKeyAsync();
            (await AskAsync(server, key, "done", context => FakeUpstream.Json(context, FakeUpstream.Completion("kept")))).Dispose();
            _upstream.Answer = async context =>
            {
                arrived.TrySetResult();
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
            };
            var running = AskAsync(server, key, "cut");
            await arrived.Task.WaitAsync(TimeSpan.FromSeconds(60), Cancel);
            await server.KillAsync();
            await Assert.ThrowsAsync<HttpRequestException>(() => running);
            await server.DisposeAsync();
            server = await ServeAsync();

            var asked = _upstream.Received.Count;
            using (var kept = await AskAsync(server, key, "done"))
            {
                Assert.Equal(HttpStatusCode.OK, kept.StatusCode);
                Assert.Contains("kept", await kept.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
            }
            while (true)
            {
                using var repeated = await AskAsync(server, key, "cut");
                var text = await repeated.Content.ReadAsStringAsync(Cancel);
                if (repeated.StatusCode == HttpStatusCode.Conflict) continue;
                Assert.True(repeated.StatusCode == HttpStatusCode.InternalServerError, text);
                Assert.StartsWith("gen_", JsonDocument.Parse(text).RootElement.GetProperty("error").GetProperty("details").GetProperty("generation_id").GetString(), StringComparison.Ordinal);
                break;
            }
            Assert.Equal(asked, _upstream.Received.Count);
        }
        finally
        {
            await server.DisposeAsync();
        }
    }

    private Task<ServerProcess> ServeAsync() => ServerProcess.ServeAsync(_folder, _postgres is null ? [] : [("Fairlead__Storage__ConnectionString", _postgres)]);

    private async Task<HttpResponseMessage> AskAsync(ServerProcess server, string apiKey, string key, Func<Microsoft.AspNetCore.Http.HttpContext, Task>? answer = null)
    {
        if (answer is not null) _upstream.Answer = answer;
        using var client = new HttpClient();
        return await client.PostJsonAsync(
            server.Address + "/v1/chat/completions",
            """{"model":"m","messages":[{"role":"user","content":"hi"}]}""",
            [("Authorization", $"Bearer {apiKey}"), ("Idempotency-Key", key)],
            HttpCompletionOption.ResponseContentRead);
    }
}
