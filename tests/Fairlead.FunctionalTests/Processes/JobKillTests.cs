using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Processes;

public sealed class SqliteJobKillTests() : JobKillTests(StorageProvider.Sqlite);

public sealed class PostgresJobKillTests() : JobKillTests(StorageProvider.Postgres);

/// <summary>Kills the program while it accepts and runs jobs. Every accepted job ends once, with its own response.</summary>
public abstract class JobKillTests : IAsyncLifetime
{
    private static readonly int Rounds = Environment.GetEnvironmentVariable("FAIRLEAD_TEST_FULL") == "1" ? 25 : 3;

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-jobs").FullName;
    private readonly string? _postgres;
    private FakeUpstream _upstream = null!;

    private protected JobKillTests(StorageProvider provider) => _postgres = provider == StorageProvider.Postgres ? TestPostgres.CreateDatabase() : null;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = AnswerAsync;
        // A short lease, because on PostgreSQL only its expiry shows that a node is dead.
        await File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), _upstream.Yaml() + """

              jobs: { lease: 1s, maxRuns: 50, workers: 6 }
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
    public async Task Kill_WhileJobsAreAcceptedAndRun_EveryAcceptedJobEndsOnce()
    {
        var chance = new Random();
        var accepted = new ConcurrentDictionary<string, string>();
        var server = await ServeAsync();
        try
        {
            var key = await server.ClientKeyAsync();
            var killed = new KilledRuns(_folder, _postgres);
            for (var round = 0; round < Rounds; round++)
            {
                var number = round;
                var enough = accepted.Count + chance.Next(5, 40);
                var sending = Enumerable.Range(0, 6).Select(client => SendAsync(server.Address, key, $"r{number}c{client}", accepted)).ToArray();
                while (accepted.Count < enough) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
                await Task.Delay(TimeSpan.FromMilliseconds(chance.NextDouble() * 40), TimeProvider.System, Cancel);
                await server.KillAsync();
                await Task.WhenAll(sending);
                await server.DisposeAsync();
                await killed.NoteAsync();
                server = await ServeAsync();
                await killed.SettleAsync();
            }
            foreach (var (id, text) in accepted) await EndsOnceAsync(server, key, id, text);
        }
        finally
        {
            await server.DisposeAsync();
        }
        Assert.True(accepted.Count > 10);
    }

    private Task<ServerProcess> ServeAsync() => ServerProcess.ServeAsync(_folder, _postgres is null ? [] : [("Fairlead__Storage__ConnectionString", _postgres)]);

    /// <summary>Sends jobs until the server has stopped. Those with a 202 response are accepted.</summary>
    private static async Task SendAsync(string address, string key, string name, ConcurrentDictionary<string, string> accepted)
    {
        using var client = Client(key);
        for (var i = 0; ; i++)
        {
            var text = $"{name}n{i}";
            try
            {
                using var request = new HttpRequestMessage(HttpMethod.Post, address + "/v1/chat/completions")
                {
                    Content = new StringContent($$"""{"model":"m","messages":[{"role":"user","content":"{{text}}"}]}""", Encoding.UTF8, "application/json"),
                };
                // Some start at once and become jobs only after a second; others wait in the queue.
                request.Headers.Add("Prefer", i % 3 == 0 ? "respond-async, wait=1" : "respond-async");
                using var response = await client.SendAsync(request, Cancel);
                var body = await response.Content.ReadAsStringAsync(Cancel);
                if ((int)response.StatusCode == 202) accepted[JsonDocument.Parse(body).RootElement.GetProperty("id").GetString()!] = text;
            }
            catch (HttpRequestException)
            {
                return;
            }
        }
    }

    private static async Task EndsOnceAsync(ServerProcess server, string key, string id, string text)
    {
        using var client = Client(key);
        JsonElement state;
        var looks = 0;
        do
        {
            Assert.True(++looks < 20, $"{id} is stuck.");
            using var response = await client.GetAsync(new Uri($"{server.Address}/v2/generations/{id}?wait=30"), Cancel);
            var body = await response.Content.ReadAsStringAsync(Cancel);
            Assert.True(response.IsSuccessStatusCode, $"{id}: {(int)response.StatusCode} {body}");
            state = JsonDocument.Parse(body).RootElement;
        }
        while (state.GetProperty("status").GetString() is "queued" or "in_progress");
        Assert.Equal("completed", state.GetProperty("status").GetString());
        Assert.Equal(text, state.GetProperty("output_text").GetString());
        var result = JsonDocument.Parse(await client.GetStringAsync(new Uri($"{server.Address}/v2/generations/{id}/result"), Cancel)).RootElement;
        Assert.Equal(text, result.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
    }

    private static HttpClient Client(string key)
    {
        var client = new HttpClient { Timeout = TimeSpan.FromSeconds(100) };
        client.DefaultRequestHeaders.Authorization = new("Bearer", key);
        return client;
    }

    /// <summary>Says the question again, a little at a time, so that a kill meets runs at every place.</summary>
    private static async Task AnswerAsync(HttpContext context)
    {
        var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
        var text = request.GetProperty("messages")[0].GetProperty("content").GetString()!;
        await FakeUpstream.BeginAsync(context);
        foreach (var letter in text)
        {
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($$"""{"content":"{{letter}}"}"""));
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, context.RequestAborted);
        }
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
    }
}
