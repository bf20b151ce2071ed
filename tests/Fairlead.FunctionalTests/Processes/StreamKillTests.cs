using System.Net.ServerSentEvents;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Processes;

public sealed class SqliteStreamKillTests() : StreamKillTests(StorageProvider.Sqlite);

public sealed class PostgresStreamKillTests() : StreamKillTests(StorageProvider.Postgres);

/// <summary>
/// Kills the program while resumable streams are under way. An event number that a client has seen never identifies another event, no
/// number is missing, and each stream reaches its end.
/// </summary>
public abstract class StreamKillTests : IAsyncLifetime
{
    private static readonly int Rounds = Environment.GetEnvironmentVariable("FAIRLEAD_TEST_FULL") == "1" ? 25 : 3;

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-streams").FullName;
    private readonly string? _postgres;
    private FakeUpstream _upstream = null!;

    private protected StreamKillTests(StorageProvider provider) => _postgres = provider == StorageProvider.Postgres ? TestPostgres.CreateDatabase() : null;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = AnswerAsync;
        // A short lease, because on PostgreSQL only its expiry shows that a node is dead.
        await File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), _upstream.Yaml() + """

              jobs: { lease: 1s, maxRuns: 50, workers: 8 }
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
    public async Task Kill_WhileStreamsAreRead_ReceivedEventsStayValidAndEveryStreamEnds()
    {
        var chance = new Random();
        var server = await ServeAsync();
        var read = new List<Seen>();
        try
        {
            var key = await server.ClientKeyAsync();
            using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(100) };
            client.DefaultRequestHeaders.Authorization = new("Bearer", key);
            var killed = new KilledRuns(_folder, _postgres);
            for (var round = 0; round < Rounds; round++)
            {
                var streams = Enumerable.Range(0, 6).Select(number => new Seen($"r{round}s{number} and some words more", typed: number % 2 == 0)).ToArray();
                var address = server.Address;
                var reading = streams.Select(seen => seen.BeginAsync(client, address)).ToArray();
                await Task.WhenAll(streams.Select(seen => seen.Spoke.Task)).WaitAsync(Cancel);
                await Task.Delay(TimeSpan.FromMilliseconds(chance.NextDouble() * 150), TimeProvider.System, Cancel);
                await server.KillAsync();
                await Task.WhenAll(reading);
                await server.DisposeAsync();
                await killed.NoteAsync();
                server = await ServeAsync();
                await killed.SettleAsync();
                read.AddRange(streams);
            }
            foreach (var seen in read) await seen.EndAsync(client, server.Address);
        }
        finally
        {
            await server.DisposeAsync();
        }
        Assert.Contains(read, seen => seen.Restarted);
    }

    private Task<ServerProcess> ServeAsync() => ServerProcess.ServeAsync(_folder, _postgres is null ? [] : [("Fairlead__Storage__ConnectionString", _postgres)]);

    private static async Task AnswerAsync(HttpContext context)
    {
        var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
        var text = (request.TryGetProperty("messages", out var messages) ? messages[0].GetProperty("content") : request.GetProperty("input")).GetString()!;
        await FakeUpstream.BeginAsync(context);
        var native = !request.TryGetProperty("messages", out _);
        foreach (var letter in text)
        {
            await FakeUpstream.SendAsync(context, native
                ? $$"""{"type":"response.output_text.delta","sequence_number":2,"item_id":"msg_up","output_index":0,"content_index":0,"delta":"{{letter}}","logprobs":[]}"""
                : FakeUpstream.Chunk($$"""{"content":"{{letter}}"}"""));
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, context.RequestAborted);
        }
        if (native)
        {
            await FakeUpstream.SendAsync(context, """{"type":"response.completed","sequence_number":3,"response":{"id":"resp_up","object":"response","status":"completed","model":"x","output":[{"id":"msg_up","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"TEXT","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}}""".Replace("TEXT", text, StringComparison.Ordinal));
            return;
        }
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
    }

    private sealed class Seen(string text, bool typed)
    {
        private readonly List<string> _events = [];
        private string _id = "";

        public TaskCompletionSource Spoke { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public bool Restarted { get; private set; }

        public async Task BeginAsync(HttpClient client, string address)
        {
            try
            {
                using var request = new HttpRequestMessage(HttpMethod.Post, address + (typed ? "/v2/generations" : "/v1/responses"))
                {
                    Content = new StringContent(typed
                        ? $$$"""{"model":"m","input":"{{{text}}}","delivery":{"mode":"stream","on_disconnect":"continue"}}"""
                        : $$"""{"model":"m","input":"{{text}}","background":true,"stream":true}""", Encoding.UTF8, "application/json"),
                };
                using var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
                Assert.Equal(200, (int)response.StatusCode);
                _id = response.Headers.GetValues("Fairlead-Generation").Single();
                await ReadAsync(response, _events);
            }
            catch (Exception exception) when (exception is HttpRequestException or IOException)
            {
                // The server was killed.
            }
            finally
            {
                Spoke.TrySetResult();
            }
        }

        public async Task EndAsync(HttpClient client, string address)
        {
            Assert.NotEmpty(_id);
            var whole = await GetAsync(client, $"{address}{(typed ? $"/v2/generations/{_id}/events" : $"/v1/responses/resp_{_id[4..]}?stream=true")}");
            var rest = await GetAsync(client, $"{address}{(typed ? $"/v2/generations/{_id}/events?after={_events.Count - 1}" : $"/v1/responses/resp_{_id[4..]}?stream=true&starting_after={_events.Count - 1}")}");
            Assert.Equal(whole, [.. _events, .. rest]);
            var events = whole.Where(data => data != "[DONE]").Select(data => JsonDocument.Parse(data).RootElement).ToList();
            Assert.Equal(Enumerable.Range(0, events.Count), events.Select(seen => seen.GetProperty("sequence_number").GetInt32()));
            if (!typed)
            {
                // Sent events cannot be withdrawn in this dialect, so a stream that was cut in the middle fails.
                Assert.Contains(events[^1].GetProperty("type").GetString(), (string?[])["response.completed", "response.failed"]);
                return;
            }
            Assert.Equal("generation.completed", events[^1].GetProperty("type").GetString());
            Assert.Equal(text, events[^1].GetProperty("generation").GetProperty("output_text").GetString());
            var last = events.FindLastIndex(seen => seen.GetProperty("type").GetString() == "generation.restarted");
            Restarted = last >= 0;
            Assert.Equal(text, string.Concat(events.Skip(last + 1).Where(seen => seen.GetProperty("type").GetString() == "output.text.delta").Select(seen => seen.GetProperty("text").GetString())));
        }

        private static async Task<List<string>> GetAsync(HttpClient client, string address)
        {
            using var response = await client.GetAsync(new Uri(address), HttpCompletionOption.ResponseHeadersRead, Cancel);
            var events = new List<string>();
            if ((int)response.StatusCode == 204) return events;
            Assert.Equal(200, (int)response.StatusCode);
            await new Seen("", true).ReadAsync(response, events);
            return events;
        }

        private async Task ReadAsync(HttpResponseMessage response, List<string> events)
        {
            await foreach (var item in SseParser.Create(await response.Content.ReadAsStreamAsync(Cancel)).EnumerateAsync(Cancel))
            {
                events.Add(item.Data);
                if (item.Data.Contains("delta", StringComparison.Ordinal)) Spoke.TrySetResult();
            }
        }
    }
}
