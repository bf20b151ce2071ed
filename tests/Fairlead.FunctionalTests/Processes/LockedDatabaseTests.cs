using System.Net;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;
using Microsoft.Data.Sqlite;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Processes;

/// <summary>Another process locks the database for longer than a writer waits.</summary>
public sealed class LockedDatabaseTests : IAsyncLifetime
{
    // Longer than the five seconds after which a write gives up, so that shipping fails at least once and starts again.
    private static readonly TimeSpan Held = TimeSpan.FromSeconds(6.5);

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-locked").FullName;
    private FakeUpstream _upstream = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = async context =>
        {
            if (context.Items[RequestItem] is System.Text.Json.JsonElement request && !request.TryGetProperty("stream", out _))
            {
                await Json(context, Completion("whole"));
                return;
            }
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"first "}"""), Chunk("""{"content":"last"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
    }

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Calls_DatabaseLocked_ContinueAndAreRecordedLater()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), _upstream.Yaml(), Cancel);
        await using var server = await ServerProcess.ServeAsync(_folder, ("FAIRLEAD_ADMIN_KEY", TestGateway.AdminKey));
        var key = await server.ClientKeyAsync();
        // The key is known and the ways are warm before the lock.
        await CallAsync(server, key, stream: false);

        var ids = new HashSet<string>();
        await using (var connection = new SqliteConnection($"Data Source={Path.Combine(_folder, "data", "fairlead.db")};Pooling=False"))
        {
            await connection.OpenAsync(Cancel);
            await using var held = connection.BeginTransaction(System.Data.IsolationLevel.Serializable);
            var since = TimeProvider.System.GetTimestamp();
            for (var i = 0; TimeProvider.System.GetElapsedTime(since) < Held; i++)
            {
                var began = TimeProvider.System.GetTimestamp();
                ids.Add(await CallAsync(server, key, stream: i % 2 == 1));
                Assert.True(TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromSeconds(3), "a call waited for the database");
                await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
            }
            await held.RollbackAsync(Cancel);
        }

        var records = await AuditSight.RecordsWhenAsync(server, records => ids.IsSubsetOf(records.Select(record => record.GetProperty("request_id").GetString()!)));
        Assert.Empty(ids.Except(records.Select(record => record.GetProperty("request_id").GetString()!)));
        Assert.Equal(ids.Count + 1, records.Count);
        Assert.All(records, record => Assert.Equal(14, AuditSight.Tokens(record, "input_tokens") + AuditSight.Tokens(record, "output_tokens")));
        Assert.Equal(0, await server.TerminateAsync());
    }

    private static async Task<string> CallAsync(ServerProcess server, string key, bool stream)
    {
        using var response = await ProcessCalls.PostAsync(server, key, $$"""{"model":"m",{{(stream ? "\"stream\":true," : "")}}"messages":[{"role":"user","content":"hi"}]}""");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        if (stream)
        {
            var seen = await SeenStream.ReadAsync(response, Cancel);
            Assert.Equal("[DONE]", seen.Events[^1].Data);
        }
        else
        {
            Assert.Contains("whole", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        }
        return response.Headers.GetValues("x-request-id").First();
    }
}
