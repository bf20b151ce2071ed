using System.Collections.Concurrent;
using System.Net;
using System.Net.ServerSentEvents;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Batches;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Http;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Crypto.Signers;

namespace Fairlead.FunctionalTests.Processes;

public sealed class SqliteMixedKillTests() : MixedKillTests(StorageProvider.Sqlite);

public sealed class PostgresMixedKillTests() : MixedKillTests(StorageProvider.Postgres);

/// <summary>
/// Kills the program again and again under all kinds of load: plain calls, streams, resumable streams, jobs, batches and webhooks. Every
/// accepted request ends once with its own response, and nothing is stuck. Every end is sent to its webhooks with a valid signature, and no
/// log has a gap.
/// </summary>
public abstract class MixedKillTests : IAsyncLifetime
{
    private const int Lines = 10;

    private static readonly int Rounds = Environment.GetEnvironmentVariable("FAIRLEAD_TEST_FULL") == "1" ? 50 : 10;

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-mixed").FullName;
    private readonly string? _postgres;
    private readonly ConcurrentDictionary<string, string> _jobs = new();
    private readonly ConcurrentDictionary<string, string> _streams = new();
    private readonly ConcurrentDictionary<string, string> _batches = new();
    private readonly ConcurrentDictionary<string, bool> _toldAlone = new();
    private readonly ConcurrentDictionary<(string Path, string Type, string Id), ConcurrentDictionary<string, int>> _told = new();
    private readonly ConcurrentDictionary<string, bool> _refused = new();
    private FakeUpstream _upstream = null!;
    private WebhookReceiver _receiver = null!;
    private int _plain;
    private int _wrong;

    private protected MixedKillTests(StorageProvider provider) => _postgres = provider == StorageProvider.Postgres ? TestPostgres.CreateDatabase() : null;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = AnswerAsync;
        _receiver = await WebhookReceiver.StartAsync();
        // The first attempt of some events fails.
        _receiver.Answer = context =>
        {
            var id = context.Request.Headers["webhook-id"].ToString();
            context.Response.StatusCode = id[^1] is 'A' or '7' && _refused.TryAdd(id, true) ? StatusCodes.Status500InternalServerError : StatusCodes.Status204NoContent;
            return Task.CompletedTask;
        };
        // A short lease, because on PostgreSQL only its expiry shows that a node is dead.
        await File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), _upstream.Yaml() + """

              jobs: { lease: 1s, maxRuns: 100, workers: 6 }
              webhooks: { allowHttp: true, allowedNetworks: [127.0.0.0/8] }
            """, Cancel);
    }

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        await _receiver.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
        if (_postgres is not null) TestPostgres.DropDatabase(_postgres);
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Kill_UnderMixedTraffic_AcceptedWorkEndsOnceAndSendsWebhooks()
    {
        var chance = new Random();
        var server = await ServeAsync();
        try
        {
            var key = await KeyAsync(server);
            byte[] secret;
            Ed25519PublicKeyParameters publicKey;
            string webhookId;
            using (var client = Client(server, key))
            {
                var webhook = await client.PostForJsonAsync("/v2/webhooks", $$"""{"url":"{{_receiver.Url}}/all"}""");
                webhookId = webhook.GetProperty("id").GetString()!;
                secret = Convert.FromBase64String(webhook.GetProperty("secret").GetString()!["whsec_".Length..]);
                publicKey = new(Convert.FromBase64String((await BatchCalls.GetAsync(client, "/v2/webhooks/per-request")).GetProperty("public_key").GetString()!["whpk_".Length..]));
            }
            using var enough = new CancellationTokenSource();
            var hearing = HearAsync(secret, publicKey, enough.Token);
            var killed = new KilledRuns(_folder, _postgres);
            for (var round = 0; round < Rounds; round++)
            {
                var name = $"r{round}";
                var (jobs, streams, plain) = (_jobs.Count, _streams.Count, _plain);
                var traffic = TrafficAsync(server, key, name);
                for (var i = 0; _jobs.Count < jobs + 3 || _streams.Count <= streams || _plain <= plain; i++)
                {
                    Assert.True(i < 6000, $"The traffic of round {round} does not flow: {_jobs.Count - jobs} jobs, {_streams.Count - streams} streams, {_plain - plain} plain calls.\n{server.Output}{server.Error}");
                    await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
                }
                await Task.Delay(TimeSpan.FromMilliseconds(chance.NextDouble() * 700), TimeProvider.System, Cancel);
                await server.KillAsync();
                await traffic;
                await server.DisposeAsync();
                await killed.NoteAsync();
                server = await ServeAsync();
                await killed.SettleAsync();
                if (round != Rounds / 2) continue;
                // From here on there are two secrets. The receiver continues with the old one.
                using var rotating = Client(server, key);
                await rotating.PostForJsonAsync($"/v2/webhooks/{webhookId}/rotate", """{"overlap_seconds":86400}""");
            }

            using (var client = Client(server, key))
            {
                foreach (var (id, text) in _jobs)
                {
                    await JobEndedAsync(client, id, text);
                    await StreamEndedAsync(client, id, text);
                }
                foreach (var (id, text) in _streams) await StreamEndedAsync(client, id, text);
                foreach (var (id, name) in _batches) await BatchEndedAsync(client, id, name);
                foreach (var status in (string[])["queued", "in_progress"]) Assert.Equal(0, (await BatchCalls.GetAsync(client, $"/v2/generations?status={status}")).GetProperty("data").GetArrayLength());
                await EverythingToldAsync(client);
            }
            await enough.CancelAsync();
            await hearing;
        }
        finally
        {
            await server.DisposeAsync();
        }
        Assert.Equal(0, _wrong);
        // An end that came twice would be two events; a delivery that came twice is one.
        Assert.All(_told, heard => Assert.True(heard.Value.Count == 1, $"{heard.Key} was told as {heard.Value.Count} events."));
        Assert.All(_told.GroupBy(heard => heard.Key.Id), heard => Assert.Single(heard.Select(one => one.Key.Type).Distinct()));
        TestContext.Current.TestOutputHelper?.WriteLine($"{Rounds} rounds: {_jobs.Count} jobs, {_streams.Count} kept streams, {_batches.Count} batches of {Lines}, {_plain} plain calls and streams seen whole, {_told.Values.Sum(ids => ids.Values.Sum())} deliveries of {_told.Count} events, {_refused.Count} of them refused at first.");
    }

    private Task<ServerProcess> ServeAsync() =>
        ServerProcess.ServeAsync(_folder, [("FAIRLEAD_ADMIN_KEY", TestGateway.AdminKey), .. _postgres is null ? ((string, string)[])[] : [("Fairlead__Storage__ConnectionString", _postgres)]]);

    private static async Task<string> KeyAsync(ServerProcess server)
    {
        using var admin = Client(server, TestGateway.AdminKey);
        var project = (await BatchCalls.GetAsync(admin, "/admin/v1/projects")).GetProperty("data")[0].GetProperty("id").GetString();
        var key = await admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}","scopes":["chat","batches","webhooks"]}""");
        return key.GetProperty("secret").GetString()!;
    }

    private static HttpClient Client(ServerProcess server, string key)
    {
        var client = new HttpClient { BaseAddress = new Uri(server.Address), Timeout = TimeSpan.FromMinutes(5) };
        client.DefaultRequestHeaders.Authorization = new("Bearer", key);
        return client;
    }

    /// <summary>Everything at once, until the server is gone.</summary>
    private Task TrafficAsync(ServerProcess server, string key, string round) => Task.WhenAll(
        LoopAsync(server, key, $"{round}a", PlainAsync), LoopAsync(server, key, $"{round}b", PlainStreamAsync), LoopAsync(server, key, $"{round}c", JobAsync), LoopAsync(server, key, $"{round}d", JobAsync),
        LoopAsync(server, key, $"{round}e", KeptStreamAsync), OnceAsync(server, key, $"{round}f", BatchAsync));

    private static async Task LoopAsync(ServerProcess server, string key, string name, Func<HttpClient, string, Task> call)
    {
        for (var i = 0; await OnceAsync(server, key, $"{name}n{i}", call); i++)
        {
            // Until the server is gone.
        }
    }

    private static async Task<bool> OnceAsync(ServerProcess server, string key, string name, Func<HttpClient, string, Task> call)
    {
        using var client = Client(server, key);
        try
        {
            await call(client, name);
            return true;
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException or OperationCanceledException && !Cancel.IsCancellationRequested)
        {
            return false;
        }
    }

    private async Task PlainAsync(HttpClient client, string text)
    {
        using var response = await client.PostJsonAsync("/v1/chat/completions", Chat(text));
        var body = await response.Content.ReadAsStringAsync(Cancel);
        if (response.StatusCode != HttpStatusCode.OK || Content(JsonDocument.Parse(body).RootElement) != text) Interlocked.Increment(ref _wrong);
        Interlocked.Increment(ref _plain);
    }

    private async Task PlainStreamAsync(HttpClient client, string text)
    {
        using var response = await client.PostJsonAsync("/v1/chat/completions", Chat(text, ",\"stream\":true"));
        var body = await response.Content.ReadAsStringAsync(Cancel);
        // One that was broken off has thrown; whatever comes to its end is whole.
        if (!body.EndsWith("data: [DONE]\n\n", StringComparison.Ordinal)) Interlocked.Increment(ref _wrong);
        Interlocked.Increment(ref _plain);
    }

    private async Task JobAsync(HttpClient client, string text)
    {
        var alone = text[^1] is '0' or '3' or '6';
        using var response = await client.PostJsonAsync("/v1/chat/completions", Chat(text, alone ? $$$""","fairlead":{"webhook":{"url":"{{{_receiver.Url}}}/once"}}""" : ""), [("Prefer", "respond-async")]);
        if (response.StatusCode != HttpStatusCode.Accepted) throw new HttpRequestException($"A job was answered {(int)response.StatusCode}.");
        var id = response.Headers.Location!.OriginalString.Split('/')[^1];
        _jobs[id] = text;
        if (alone) _toldAlone[id] = true;
        // So that there are some hundred of them and not some thousand.
        await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
    }

    private async Task KeptStreamAsync(HttpClient client, string text)
    {
        using var response = await client.PostJsonAsync("/v2/generations", $$$"""{"model":"m","input":"{{{text}}}","delivery":{"mode":"stream","on_disconnect":"continue"}}""");
        if (response.StatusCode != HttpStatusCode.OK) throw new HttpRequestException($"A stream was answered {(int)response.StatusCode}.");
        _streams[response.Headers.GetValues("Fairlead-Generation").Single()] = text;
        await response.Content.ReadAsStringAsync(Cancel);
    }

    private async Task BatchAsync(HttpClient client, string name)
    {
        using var uploaded = await BatchCalls.UploadAsync(client, Encoding.UTF8.GetBytes(string.Join('\n', Enumerable.Range(0, Lines).Select(i => BatchCalls.Line($"{name}n{i}", $"{name}t{i}")))));
        var file = JsonDocument.Parse(await uploaded.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("id").GetString()!;
        using var created = await BatchCalls.CreateAsync(client, file);
        _batches[JsonDocument.Parse(await created.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("id").GetString()!] = name;
    }

    private static string Chat(string text, string more = "") => $$"""{"model":"m","messages":[{"role":"user","content":"{{text}}"}]{{more}}}""";

    private static string? Content(JsonElement completion) => completion.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString();

    private static async Task JobEndedAsync(HttpClient client, string id, string text)
    {
        for (var looks = 0; ; looks++)
        {
            Assert.True(looks < 20, $"{id} is stuck.");
            var state = await BatchCalls.GetAsync(client, $"/v2/generations/{id}?wait=30");
            if (state.GetProperty("status").GetString() is "queued" or "in_progress") continue;
            Assert.Equal("completed", state.GetProperty("status").GetString());
            Assert.Equal(text, state.GetProperty("output_text").GetString());
            break;
        }
        Assert.Equal(text, Content(await BatchCalls.GetAsync(client, $"/v2/generations/{id}/result")));
    }

    private static async Task StreamEndedAsync(HttpClient client, string id, string text)
    {
        using var response = await client.GetAsync(new Uri($"/v2/generations/{id}/events", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead, Cancel);
        var events = new List<JsonElement>();
        await foreach (var item in SseParser.Create(await response.Content.ReadAsStreamAsync(Cancel)).EnumerateAsync(Cancel)) events.Add(JsonDocument.Parse(item.Data).RootElement);
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(seen => seen.GetProperty("sequence_number").GetInt32()));
        Assert.Equal("generation.completed", events[^1].GetProperty("type").GetString());
        Assert.Equal(text, events[^1].GetProperty("generation").GetProperty("output_text").GetString());
    }

    private static async Task BatchEndedAsync(HttpClient client, string id, string name)
    {
        var done = await BatchCalls.EndedAsync(client, id);
        Assert.Equal("completed", done.GetProperty("status").GetString());
        var answers = await BatchCalls.LinesAsync(client, done, "output_file_id");
        Assert.Equal(Lines, answers.Count);
        for (var i = 0; i < Lines; i++) Assert.Equal($"{name}t{i}", Content(answers[$"{name}n{i}"].GetProperty("response").GetProperty("body")));
    }

    /// <summary>Records each webhook, and whether its signature conforms to Standard Webhooks.</summary>
    private async Task HearAsync(byte[] secret, Ed25519PublicKeyParameters publicKey, CancellationToken enough)
    {
        while (!enough.IsCancellationRequested)
        {
            ReceivedWebhook heard;
            try
            {
                heard = await _receiver.NextAsync(enough);
            }
            catch (Exception exception) when (exception is TimeoutException or OperationCanceledException)
            {
                continue;
            }
            byte[] signed = [.. Encoding.UTF8.GetBytes($"{heard.Headers["webhook-id"]}.{heard.Headers["webhook-timestamp"]}."), .. heard.Body];
            var signatures = heard.Headers["webhook-signature"].Split(' ');
            if (!(heard.Path == "/once" ? Verifies(publicKey, signed, signatures.Single()) : signatures.Contains("v1," + Convert.ToBase64String(HMACSHA256.HashData(secret, signed))))) Interlocked.Increment(ref _wrong);
            var body = JsonDocument.Parse(heard.Body).RootElement;
            var told = _told.GetOrAdd((heard.Path, body.GetProperty("type").GetString()!, body.GetProperty("data").GetProperty("id").GetString()!), _ => new());
            told.AddOrUpdate(heard.Headers["webhook-id"], 1, (_, count) => count + 1);
        }
    }

    private static bool Verifies(Ed25519PublicKeyParameters key, byte[] signed, string signature)
    {
        if (!signature.StartsWith("v1a,", StringComparison.Ordinal)) return false;
        var verifier = new Ed25519Signer();
        verifier.Init(forSigning: false, key);
        verifier.BlockUpdate(signed, 0, signed.Length);
        return verifier.VerifySignature(Convert.FromBase64String(signature["v1a,".Length..]));
    }

    private async Task EverythingToldAsync(HttpClient client)
    {
        IReadOnlyList<(string, string, string)> wanted =
        [
            .. _jobs.Keys.Concat(_streams.Keys).Select(id => ("/all", "generation.completed", id)), .. _batches.Keys.Select(id => ("/all", "batch.completed", id)),
            .. _toldAlone.Keys.Select(id => ("/once", "generation.completed", id)),
        ];
        for (var i = 0; wanted.Any(one => !_told.ContainsKey(one)); i++)
        {
            if (i == 600) Assert.Fail($"{wanted.Count(one => !_told.ContainsKey(one))} of {wanted.Count} ends were not told. {await client.GetStringAsync(new Uri("/v2/webhooks/deliveries?status=pending", UriKind.Relative), Cancel)}");
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
        }
    }

    /// <summary>Says the question again, a letter at a time where it is streamed.</summary>
    private static async Task AnswerAsync(HttpContext context)
    {
        var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
        var text = request.GetProperty("messages")[0].GetProperty("content").GetString()!;
        if (!request.TryGetProperty("stream", out var stream) || !stream.GetBoolean())
        {
            await FakeUpstream.Json(context, FakeUpstream.Completion(text));
            return;
        }
        await FakeUpstream.BeginAsync(context);
        foreach (var letter in text)
        {
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($$"""{"content":"{{letter}}"}"""));
            await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, context.RequestAborted);
        }
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
    }
}
