using System.Text.Json;
using Fairlead.FunctionalTests.Batches;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Processes;

public sealed class SqliteBatchKillTests() : BatchKillTests(StorageProvider.Sqlite);

public sealed class PostgresBatchKillTests() : BatchKillTests(StorageProvider.Postgres);

/// <summary>Kills the program while it processes batches. Every line appears once in the output file, with its own response.</summary>
public abstract class BatchKillTests : IAsyncLifetime
{
    private const int Lines = 120;

    private static readonly int Rounds = Environment.GetEnvironmentVariable("FAIRLEAD_TEST_FULL") == "1" ? 25 : 4;

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-batches").FullName;
    private readonly string? _postgres;
    private FakeUpstream _upstream = null!;

    private protected BatchKillTests(StorageProvider provider) => _postgres = provider == StorageProvider.Postgres ? TestPostgres.CreateDatabase() : null;

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
    public async Task Kill_WhileBatchesRun_EveryLineHasExactlyOneResult()
    {
        var chance = new Random();
        var batches = new List<(string Id, string Name)>();
        var server = await ServeAsync();
        try
        {
            var key = await server.ClientKeyAsync();
            var killed = new KilledRuns(_folder, _postgres);
            for (var round = 0; round < Rounds; round++)
            {
                using (var client = Client(server, key))
                {
                    var name = $"r{round}";
                    var file = await BatchCalls.UploadedAsync(client, Enumerable.Range(0, Lines).Select(i => BatchCalls.Line($"{name}n{i}", $"{name}t{i}")));
                    var id = await BatchCalls.CreatedAsync(client, file);
                    batches.Add((id, name));
                    // At any point between the first read of the file and the last line of the output.
                    await Task.Delay(TimeSpan.FromMilliseconds(chance.NextDouble() * 2500), TimeProvider.System, Cancel);
                }
                await server.KillAsync();
                await server.DisposeAsync();
                await killed.NoteAsync();
                server = await ServeAsync();
                await killed.SettleAsync();
            }
            using var reader = Client(server, key);
            foreach (var (id, name) in batches)
            {
                var done = await BatchCalls.EndedAsync(reader, id);
                Assert.Equal("completed", done.GetProperty("status").GetString());
                Assert.Equal($$"""{"total":{{Lines}},"completed":{{Lines}},"failed":0}""", done.GetProperty("request_counts").ToString());
                // A custom id that stood there twice would be refused by the dictionary.
                var answers = await BatchCalls.LinesAsync(reader, done, "output_file_id");
                Assert.Equal(Lines, answers.Count);
                for (var i = 0; i < Lines; i++)
                {
                    Assert.Equal($"{name}t{i}", answers[$"{name}n{i}"].GetProperty("response").GetProperty("body").GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
                }
            }
            // Only the input and output files exist, however often an output file was started.
            Assert.Equal(batches.Count * 2, (await BatchCalls.GetAsync(reader, "/v1/files")).GetProperty("data").GetArrayLength());
        }
        finally
        {
            await server.DisposeAsync();
        }
    }

    private Task<ServerProcess> ServeAsync() => ServerProcess.ServeAsync(_folder, _postgres is null ? [] : [("Fairlead__Storage__ConnectionString", _postgres)]);

    private static HttpClient Client(ServerProcess server, string key)
    {
        var client = new HttpClient { BaseAddress = new Uri(server.Address), Timeout = TimeSpan.FromSeconds(100) };
        client.DefaultRequestHeaders.Authorization = new("Bearer", key);
        return client;
    }

    private static async Task AnswerAsync(HttpContext context)
    {
        var text = ((JsonElement)context.Items[FakeUpstream.RequestItem]!).GetProperty("messages")[0].GetProperty("content").GetString()!;
        await FakeUpstream.BeginAsync(context);
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($$"""{"content":"{{text[..1]}}"}"""));
        await Task.Delay(TimeSpan.FromMilliseconds(40), TimeProvider.System, context.RequestAborted);
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($$"""{"content":"{{text[1..]}}"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
    }
}
