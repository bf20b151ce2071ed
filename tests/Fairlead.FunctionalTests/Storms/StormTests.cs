using System.Collections.Concurrent;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Delivery;
using Fairlead.FunctionalTests.Common;
using Fairlead.Http;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Storms;

/// <summary>Calls of every kind at once, with everything going wrong that can: afterwards the books balance to the last digit.</summary>
public sealed class StormTests
{
    private const int AtOnce = 48;

    private static readonly int Calls = Environment.GetEnvironmentVariable("FAIRLEAD_TEST_FULL") == "1" ? 4000 : 400;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Storm_ErrorsAndDisconnects_AccountingBalances()
    {
        var seed = Environment.GetEnvironmentVariable("FAIRLEAD_STORM_SEED") is { Length: > 0 } given
            ? int.Parse(given, System.Globalization.CultureInfo.InvariantCulture) : Random.Shared.Next();
        try
        {
            await RunAsync(new Random(seed));
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            throw new InvalidOperationException($"The storm of FAIRLEAD_STORM_SEED={seed} failed: {exception.Message}", exception);
        }
    }

    private static async Task RunAsync(Random chance)
    {
        var calls = Enumerable.Range(0, Calls).Select(number => new StormCall(number, chance)).ToArray();
        await using var fake = await FakeUpstream.StartAsync();
        var upstream = new StormUpstream(calls);
        fake.Answer = upstream.AnswerAsync;
        var door = new AdmittedCalls();
        await using var gateway = await TestGateway.StartAsync(Yaml(fake.Url), (builder, _) => builder.Services.AddSingleton<IStartupFilter>(door));

        using var client = gateway.MakeClient(gateway.Key);
        await Parallel.ForEachAsync(calls, new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = Cancel },
            async (call, stop) => await call.RunAsync(client, stop));

        var complaints = calls.Where(call => call.Complaint is not null).Select(call => $"{call}: {call.Complaint}").ToArray();
        Assert.True(complaints.Length == 0, $"{complaints.Length} clients complain.\n" + string.Join("\n\n", complaints));
        // The last event of a failed stream is sent before its connection is cut; only a server that starves for longer than it waits loses one.
        var broke = calls.Where(call => call.Broke).ToArray();
        Assert.True(broke.Length <= Calls / 100, $"{broke.Length} streams broke without their last event, such as {broke.FirstOrDefault()}");
        await SettledAsync(gateway, upstream);
        var records = await AuditAsync(gateway, door.Ids.Count);
        Assert.Equal(door.Ids.Order(StringComparer.Ordinal), records.Select(Id).Order(StringComparer.Ordinal));
        var byId = records.ToDictionary(Id, StringComparer.Ordinal);
        CheckRecords(records);
        CheckClients(calls, byId);
        CheckArrivals(upstream, byId);
        await CheckSumsAsync(gateway, records);
    }

    /// <summary>Nothing is held, nothing is open, and every abandoned connection to the upstream is closed.</summary>
    private static async Task SettledAsync(TestGateway gateway, StormUpstream upstream)
    {
        var ledger = gateway.Services.GetRequiredService<InMemoryTokenLedger>();
        var drain = gateway.Services.GetRequiredService<DrainState>();
        var sweep = gateway.Services.GetRequiredService<StreamSweep>();
        for (var i = 0; ledger.Totals().Open > 0 || drain.Active > 0 || upstream.Open > 0; i++)
        {
            Assert.True(i < 2400, $"{ledger.Totals().Open} reservations are held, {drain.Active} calls are open, {upstream.Open} answers of the upstream were not closed.");
            await Task.Delay(TimeSpan.FromMilliseconds(25), TimeProvider.System, Cancel);
        }
        Assert.Equal((0, 0m), (ledger.Totals().HeldTokens, ledger.Totals().HeldUsd));
        Assert.Equal(0, sweep.Count);
    }

    private static void CheckRecords(List<JsonElement> records)
    {
        foreach (var record in records)
        {
            Assert.Contains(record.GetProperty("outcome").GetString(), (string[])["complete", "length", "tool_calls", "content_filter", "provider_lost", "deadline", "cancelled", "failed"]);
            if (record.GetProperty("outcome").GetString() == "failed") Assert.False(record.GetProperty("error_code").ValueKind == JsonValueKind.Null, record.GetRawText());
            Assert.NotEqual("internal_error", record.GetProperty("error_code").GetString());
            Assert.Equal(record.GetProperty("attempts").EnumerateArray().Sum(Cost), Cost(record));
            Assert.All(record.GetProperty("attempts").EnumerateArray(), attempt => Assert.False(attempt.GetProperty("outcome").ValueKind == JsonValueKind.Null, record.GetRawText()));
        }
    }

    /// <summary>What a client saw is what is written down.</summary>
    private static void CheckClients(StormCall[] calls, Dictionary<string, JsonElement> byId)
    {
        foreach (var call in calls)
        {
            if (call.RequestId is null) continue;
            var record = byId[call.RequestId];
            if (call.Whole is not { } seen) continue;
            Assert.Equal(seen.GetProperty("outcome").GetString(), record.GetProperty("outcome").GetString());
            Assert.Equal(seen.GetProperty("cost").GetProperty("usd").GetDecimal(), Cost(record));
            Assert.Equal(seen.GetProperty("usage").GetProperty("input_tokens").GetInt64(), Tokens(record, "input_tokens"));
            Assert.Equal(seen.GetProperty("usage").GetProperty("output_tokens").GetInt64(), Tokens(record, "output_tokens"));
        }
        Assert.Contains(calls, call => call.Whole is not null);
    }

    /// <summary>Every attempt that the upstream counted is charged, unless the upstream refused it.</summary>
    private static void CheckArrivals(StormUpstream upstream, Dictionary<string, JsonElement> byId)
    {
        Assert.NotEmpty(upstream.Arrivals);
        foreach (var group in upstream.Arrivals.GroupBy(arrival => arrival.RequestId))
        {
            var record = byId[group.Key];
            var sent = record.GetProperty("attempts").EnumerateArray().Where(attempt => attempt.GetProperty("sent").GetBoolean()).ToArray();
            var arrivals = group.ToArray();
            Assert.True(sent.Length >= arrivals.Length, $"{arrivals.Length} attempts arrived ({string.Join(", ", arrivals.Select(a => a.Weather))}): {record}");
            for (var i = 0; i < arrivals.Length; i++)
            {
                var refused = sent[i].GetProperty("upstream_status") is { ValueKind: JsonValueKind.Number } status && status.GetInt32() >= 400;
                var weather = arrivals[i].Weather;
                var mayBeFree = weather == Weather.RefusedByEvent || (refused && weather is Weather.TooManyRequests or Weather.ServerError);
                Assert.True(mayBeFree || (Tokens(sent[i], "input_tokens") > 0 && Cost(sent[i]) > 0) || Left(record, weather), $"{weather} is not charged: {record}");
                if (refused) Assert.Equal(0m, Cost(sent[i]));
            }
        }

        // The client disconnected before the refusal arrived. The gateway does not know of the refusal, so the charge depends on what had
        // arrived.
        static bool Left(JsonElement record, Weather weather) =>
            weather is Weather.TooManyRequests or Weather.ServerError && record.GetProperty("outcome").GetString() == "cancelled";
    }

    /// <summary>Process, audit, ledger, hourly sums and the project's own usage agree.</summary>
    private static async Task CheckSumsAsync(TestGateway gateway, List<JsonElement> records)
    {
        var attempts = records.SelectMany(record => record.GetProperty("attempts").EnumerateArray()).ToArray();
        var (cost, input, output) = (attempts.Sum(Cost), attempts.Sum(one => Tokens(one, "input_tokens")), attempts.Sum(one => Tokens(one, "output_tokens")));
        Assert.True(cost > 0);
        Assert.Equal(cost, gateway.Services.GetRequiredService<InMemoryTokenLedger>().Totals().UsedUsd);

        foreach (var (client, path) in new[] { (gateway.Client, "/v2/usage"), (gateway.Admin, "/admin/v1/usage") })
        {
            using var response = await client.GetAsync(new Uri(path, UriKind.Relative), Cancel);
            var totals = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("totals");
            Assert.Equal((cost, input, output), (totals.GetProperty("cost_usd").GetDecimal(), totals.GetProperty("input_tokens").GetInt64(), totals.GetProperty("output_tokens").GetInt64()));
        }

        await using var connection = new SqliteConnection($"Data Source={Path.Combine(gateway.DataDirectory, "fairlead.db")};Mode=ReadOnly;Pooling=False");
        await connection.OpenAsync(Cancel);
        await using var copy = await StoredRecords.CopyAsync(connection, Cancel);
        await using var command = copy.CreateCommand();
        command.CommandText = "SELECT count(*), count(DISTINCT attempt_id), sum(input_tokens), sum(output_tokens), sum(cost_pico_usd) FROM ledger_entries";
        await using var reader = await command.ExecuteReaderAsync(Cancel);
        Assert.True(await reader.ReadAsync(Cancel));
        Assert.Equal((attempts.Length, attempts.Length, input, output, cost), (reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetInt64(3), reader.GetInt64(4) / 1_000_000_000_000m));
    }

    /// <summary>The records once <paramref name="expected"/> of them are in the database.</summary>
    private static async Task<List<JsonElement>> AuditAsync(TestGateway gateway, int expected)
    {
        var since = TimeProvider.System.GetTimestamp();
        while (true)
        {
            var records = await AuditAsync(gateway);
            if (records.Count >= expected || TimeProvider.System.GetElapsedTime(since) > TimeSpan.FromSeconds(60)) return records;
        }
    }

    private static async Task<List<JsonElement>> AuditAsync(TestGateway gateway)
    {
        var records = new List<JsonElement>();
        string? cursor = null;
        do
        {
            using var response = await gateway.Admin.GetAsync(new Uri("/admin/v1/audit?limit=500" + (cursor is null ? "" : "&cursor=" + cursor), UriKind.Relative), Cancel);
            var page = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement;
            records.AddRange(page.GetProperty("data").EnumerateArray());
            cursor = page.GetProperty("next_cursor").GetString();
        }
        while (cursor is not null);
        return records;
    }

    private static string Id(JsonElement record) => record.GetProperty("request_id").GetString()!;

    private static decimal Cost(JsonElement holder) => holder.GetProperty("cost_usd").GetDecimal();

    private static long Tokens(JsonElement holder, string name) => holder.GetProperty("usage").GetProperty(name).GetInt64();

    // What arrives at the upstream is attributed to one call each, so no request has the inputs of several calls.
    private static string Yaml(string url) => $$"""
        fairlead:
          coalescing: { embeddings: false }
          retry: { maxRetries: 1, baseDelay: 1ms, maxDelay: 20ms }
          breaker: { enabled: false }
          stream: { commitAfter: 200ms }
          providers:
            up: { kind: openai, baseUrl: {{url}}/v1, apiKey: sk-x, timeouts: { firstToken: 800ms, streamIdle: 500ms, total: 1500ms } }
            other: { kind: openai, baseUrl: {{url}}/v1, apiKey: sk-y, timeouts: { firstToken: 800ms, streamIdle: 500ms, total: 1500ms } }
            plain: { kind: vllm, baseUrl: {{url}}/v1, apiKey: sk-z, timeouts: { firstToken: 800ms, streamIdle: 500ms, total: 1500ms } }
          models:
            m: { contextWindow: 8000, maxOutputTokens: 2000, tokenizer: o200k, prices: { input: 1.3, cachedInput: 0.7, output: 10.1 }, capabilities: { tools: true }, deployments: [{ provider: up, model: m }] }
            two: { contextWindow: 8000, maxOutputTokens: 2000, prices: { input: 0.37, output: 2.9 }, capabilities: { tools: true }, deployments: [{ provider: up, model: a, priority: 1 }, { provider: other, model: b, priority: 2 }] }
            plain: { contextWindow: 8000, maxOutputTokens: 2000, prices: { input: 0.91, output: 3.3 }, capabilities: { tools: true }, deployments: [{ provider: plain, model: p }] }
            e: { kind: embedding, contextWindow: 8000, tokenizer: o200k, prices: { input: 0.013, output: 0 }, deployments: [{ provider: up, model: e }, { provider: other, model: e, priority: 2 }] }
        """;

    /// <summary>Notes each generating request that reached the gateway, by its id.</summary>
    private sealed class AdmittedCalls : IStartupFilter
    {
        public ConcurrentQueue<string> Ids { get; } = new();

        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use(async (context, rest) =>
            {
                if (HttpMethods.IsPost(context.Request.Method) && context.Request.Path.StartsWithSegments("/v1", StringComparison.Ordinal)) Ids.Enqueue(RequestIds.Of(context));
                await rest(context);
            });
            next(app);
        };
    }
}
