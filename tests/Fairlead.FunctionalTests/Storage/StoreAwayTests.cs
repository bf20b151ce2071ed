using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Batches;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;

namespace Fairlead.FunctionalTests.Storage;

public sealed class SqliteStoreAwayTests() : StoreAwayTests(StorageProvider.Sqlite);

public sealed class PostgresStoreAwayTests() : StoreAwayTests(StorageProvider.Postgres);

/// <summary>A database that takes no writes: which calls go on and which are refused.</summary>
public abstract class StoreAwayTests : IAsyncLifetime
{
    private readonly StorageProvider _store;
    private TestGateway _gateway = null!;

    private protected StoreAwayTests(StorageProvider store) => _store = store;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _gateway = await TestGateway.StartAsync(_store);

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task DatabaseWrites_Blocked_SyncAndStreamsContinueAndStoredCallsAreRefused()
    {
        var client = _gateway.Client;
        var file = await BatchCalls.UploadedAsync(client, BatchCalls.Line("a", "x", "sim-echo"));
        var webhook = (await client.PostForJsonAsync("/v2/webhooks", """{"url":"https://hooks.invalid/"}""")).GetProperty("id").GetString();
        var (_, key) = await _gateway.MakeKeyAsync("\"scopes\":[\"chat\"]");
        var hanging = (await JsonAsync(client, "/v2/generations", """{"model":"sim-fast","input":"x","delivery":{"mode":"job"}}""", ("Fairlead-Simulate", "hang"))).GetProperty("id").GetString();
        var before = await CountsAsync();

        var ids = new List<string>();
        await using (await _gateway.BlockWritesAsync())
        {
            foreach (var (path, body) in AwayCalls.ThatGoOn)
            {
                var began = TimeProvider.System.GetTimestamp();
                using var response = await AwayCalls.SendAsync(client, HttpMethod.Post, path, body);
                var text = await response.Content.ReadAsStringAsync(Cancel);
                Assert.True(response.StatusCode == HttpStatusCode.OK, $"{path}: {(int)response.StatusCode} {text}");
                Assert.True(TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromSeconds(4), $"{path} waited for the database.");
                ids.Add(response.Headers.GetValues("x-request-id").Single());
            }
            // A synchronous response, because a job cannot be stored and so cannot be promised.
            using (var hybrid = await AwayCalls.SendAsync(client, HttpMethod.Post, "/v1/chat/completions", AwayCalls.Chat, ("Prefer", "respond-async, wait=1"), ("Fairlead-Simulate", "ttft=1500ms")))
            {
                Assert.Equal(HttpStatusCode.OK, hybrid.StatusCode);
                ids.Add(hybrid.Headers.GetValues("x-request-id").Single());
            }
            using (var unstored = await AwayCalls.SendAsync(client, HttpMethod.Post, "/v1/responses", """{"model":"sim-fast","input":"hi"}"""))
            {
                var text = await unstored.Content.ReadAsStringAsync(Cancel);
                Assert.True(unstored.StatusCode == HttpStatusCode.OK, text);
                Assert.Contains("response_not_stored", text, StringComparison.Ordinal);
                ids.Add(unstored.Headers.GetValues("x-request-id").Single());
            }
            // What can be read is known: a key that is unknown is unknown.
            using (var unknown = _gateway.MakeClient(AwayCalls.UnknownKey))
            using (var refused = await AwayCalls.SendAsync(unknown, HttpMethod.Post, "/v1/chat/completions", AwayCalls.Chat)) Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
            using (var read = await client.GetAsync(new Uri($"/v2/generations/{hanging}", UriKind.Relative), Cancel)) Assert.Equal(HttpStatusCode.OK, read.StatusCode);

            await Parallel.ForEachAsync(
                AwayCalls.Refused(file, webhook!, hanging!, key, _gateway.ProjectId),
                new ParallelOptions { MaxDegreeOfParallelism = 4, CancellationToken = Cancel },
                async (call, _) => await AwayCalls.AssertRefusedAsync(call.Path.StartsWith("/admin", StringComparison.Ordinal) ? _gateway.Admin : client, call));
        }

        // Back: nothing of what was refused is there, what went on is on record, and what was refused is taken.
        Assert.Equal(before, await CountsAsync());
        var records = new HashSet<string?>();
        for (var i = 0; !records.IsSupersetOf(ids); i++)
        {
            Assert.True(i < 600, $"Not on record: {string.Join(", ", ids.Except(records))}");
            if (i > 0) await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
            var page = JsonDocument.Parse(await _gateway.Admin.GetStringAsync(new Uri("/admin/v1/audit?limit=100", UriKind.Relative), Cancel)).RootElement;
            records = [.. page.GetProperty("data").EnumerateArray().Select(record => record.GetProperty("request_id").GetString())];
        }
        using (var cancelled = await AwayCalls.SendAsync(client, HttpMethod.Post, $"/v2/generations/{hanging}/cancel", "{}")) Assert.Equal(HttpStatusCode.OK, cancelled.StatusCode);
        var job = (await JsonAsync(client, "/v2/generations", """{"model":"sim-fast","input":"x","delivery":{"mode":"job"}}""")).GetProperty("id").GetString();
        var ended = JsonDocument.Parse(await client.GetStringAsync(new Uri($"/v2/generations/{job}?wait=60", UriKind.Relative), Cancel)).RootElement;
        Assert.Equal("completed", ended.GetProperty("status").GetString());
    }

    private static async Task<JsonElement> JsonAsync(HttpClient client, string path, string body, params (string Name, string Value)[] headers)
    {
        using var response = await AwayCalls.SendAsync(client, HttpMethod.Post, path, body, headers);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, $"{path}: {(int)response.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement;
    }

    private async Task<string> CountsAsync()
    {
        var counts = new StringBuilder();
        foreach (var path in (string[])["/v2/generations", "/v1/files", "/v1/batches", "/v2/webhooks", "/v2/webhooks/deliveries", "/admin/v1/organizations", "/admin/v1/projects", "/admin/v1/keys"])
        {
            var list = await (path.StartsWith("/admin", StringComparison.Ordinal) ? _gateway.Admin : _gateway.Client).GetStringAsync(new Uri(path, UriKind.Relative), Cancel);
            counts.Append(path).Append(' ').Append(JsonDocument.Parse(list).RootElement.GetProperty("data").EnumerateArray().Count(IsStored)).Append('\n');
        }
        return counts.ToString();

        // Calls that are not stored are in the list of generations too.
        static bool IsStored(JsonElement row) => !row.TryGetProperty("content_stored", out var stored) || stored.GetBoolean();
    }
}
