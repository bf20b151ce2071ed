using System.Data.Common;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.Data.Sqlite;
using Npgsql;

namespace Fairlead.FunctionalTests.Processes;

public sealed class SqliteKillTests() : KillTests(StorageProvider.Sqlite);

public sealed class PostgresKillTests() : KillTests(StorageProvider.Postgres);

/// <summary>
/// The program killed without warning: what a client saw finished is in the audit with its usage, what reached an upstream is charged,
/// and nothing is there twice, however often it happens.
/// </summary>
public abstract class KillTests : IAsyncLifetime
{
    private const int Clients = 12;

    private static readonly int Rounds = Environment.GetEnvironmentVariable("FAIRLEAD_TEST_FULL") == "1" ? 20 : 2;

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-kill").FullName;
    private readonly string? _postgres;
    private FakeUpstream _upstream = null!;

    private protected KillTests(StorageProvider provider) => _postgres = provider == StorageProvider.Postgres ? TestPostgres.CreateDatabase() : null;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = context => Load.AnswerAsync(context, (JsonElement)context.Items[FakeUpstream.RequestItem]!);
    }

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
        if (_postgres is not null) TestPostgres.DropDatabase(_postgres);
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Kill_UnderLoad_LosesNothingAndNeverChargesTwice()
    {
        await ConfigureAsync(_upstream.Yaml());
        var chance = new Random();
        var load = new Load();
        var server = await ServeAsync();
        try
        {
            var key = await server.ClientKeyAsync();
            for (var round = 0; round < Rounds; round++)
            {
                var warm = load.FinishedAsync(chance.Next(Clients, 20 * Clients));
                var running = load.RunAsync(server.Address, key, Clients, StopWith(server));
                await warm.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancel);
                // Anywhere within a call, not only at the end of one.
                await Task.Delay(TimeSpan.FromMilliseconds(chance.NextDouble() * 40), TimeProvider.System, Cancel);
                await server.KillAsync();
                await running;
                await server.DisposeAsync();

                server = await ServeAsync();
                await CheckAsync(server, load);
            }
            // A quiet end adds nothing and loses nothing.
            Assert.Equal(0, await server.TerminateAsync());
            await server.DisposeAsync();
            server = await ServeAsync();
            await CheckAsync(server, load);
        }
        finally
        {
            await server.DisposeAsync();
        }
        Assert.Contains(load.Calls, call => call.Whole);
        Assert.Contains(load.Calls, call => call.ToldOfTheCut);
        TestContext.Current.TestOutputHelper?.WriteLine($"{Rounds} rounds: {load.Calls.Count} calls, {load.Calls.Count(call => call.Whole)} seen whole, {load.Calls.Count(call => call.ToldOfTheCut)} told of a cut, {_upstream.Received.Count} attempts at the upstream.");
    }

    [Fact]
    public async Task Kill_WhileSecondAttemptRuns_ChargesBothAttempts()
    {
        await ConfigureAsync($$"""
            fairlead:
              retry: { maxRetries: 0 }
              breaker: { enabled: false }
              providers:
                # Long enough for a busy machine to send the request before the time is up: an attempt that was not sent costs nothing.
                silent: { kind: openai, baseUrl: {{_upstream.Url}}/silent, apiKey: a, timeouts: { firstToken: 5s } }
                open: { kind: openai, baseUrl: {{_upstream.Url}}/open, apiKey: a }
              models:
                two:
                  contextWindow: 8000
                  prices: { input: 1, output: 10 }
                  capabilities: { tools: false }
                  deployments: [{ provider: silent, model: x, priority: 1 }, { provider: open, model: x, priority: 2 }]
            """);
        var open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _upstream.Answer = async context =>
        {
            if (context.Request.Path.StartsWithSegments("/open", StringComparison.Ordinal)) open.SetResult();
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        };
        await using (var server = await ServeAsync())
        {
            var call = ProcessCalls.PostAsync(server, await server.ClientKeyAsync(), """{"model":"two","stream":true,"messages":[{"role":"user","content":"Tell me a story of some length."}]}""");
            await open.Task.WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System, Cancel);
            await server.KillAsync();
            await Assert.ThrowsAnyAsync<HttpRequestException>(() => call);
        }

        await using var next = await ServeAsync();
        var record = Assert.Single(await AuditSight.RecordsWhenAsync(next, records => records.Count > 0));
        Assert.Equal("failed", record.GetProperty("outcome").GetString());
        var attempts = record.GetProperty("attempts").EnumerateArray().ToArray();
        Assert.Equal(["failed", "lost"], attempts.Select(attempt => attempt.GetProperty("outcome").GetString()));
        Assert.All(attempts, attempt =>
        {
            Assert.True(AuditSight.Tokens(attempt, "input_tokens") > 0, attempt.GetRawText());
            Assert.True(attempt.GetProperty("cost_usd").GetDecimal() > 0, attempt.GetRawText());
            Assert.Equal("estimated", attempt.GetProperty("usage").GetProperty("basis").GetString());
        });
        Assert.Equal(attempts.Sum(attempt => attempt.GetProperty("cost_usd").GetDecimal()), record.GetProperty("cost_usd").GetDecimal());
    }

    [Fact]
    public async Task Kill_BeforeKeysConfirmed_PrintsWorkingKeysAtNextStart()
    {
        await ConfigureAsync("fairlead: {}");
        // Killed at the earliest sign of life, and so at some place of the first start.
        await using (var first = ServerProcess.Start(_folder, ["--urls", "http://127.0.0.1:0"], Store()))
        {
            await first.LineAsync(line => line.Length > 0);
            await first.KillAsync();
        }
        await using var server = await ServerProcess.ServeAsync(_folder, Store());
        var key = await server.ClientKeyAsync();
        using var answer = await ProcessCalls.PostAsync(server, key, """{"model":"sim-fast","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}""");
        Assert.True(answer.IsSuccessStatusCode);
    }

    private async Task CheckAsync(ServerProcess server, Load load)
    {
        var arrived = _upstream.Received.GroupBy(request => request.GetProperty("seed").GetInt64()).ToDictionary(group => group.Key, group => group.Count());
        var whole = load.Calls.Where(call => call.Whole).ToDictionary(call => call.Seed);
        var expected = arrived.Keys.Union(whole.Keys).ToHashSet();

        var records = await AuditSight.RecordsWhenAsync(server, records => expected.IsSubsetOf(records.Select(record => AuditSight.SeedOf(record) ?? 0)));
        var twice = records.GroupBy(AuditSight.SeedOf).Where(group => group.Count() > 1).Select(group => group.Key).ToArray();
        Assert.True(twice.Length == 0, "recorded twice: " + string.Join(", ", twice));
        var bySeed = records.ToDictionary(record => AuditSight.SeedOf(record)!.Value);
        Assert.Empty(expected.Except(bySeed.Keys));

        foreach (var (seed, call) in whole)
        {
            var record = bySeed[seed];
            Assert.Contains(record.GetProperty("outcome").GetString(), (string[])["complete", "length"]);
            Assert.Equal(call.RequestId, record.GetProperty("request_id").GetString());
            foreach (var name in (string[])["input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens"])
            {
                Assert.Equal(AuditSight.Tokens(call.End!.Value, name), AuditSight.Tokens(record, name));
            }
            Assert.Equal(call.End!.Value.GetProperty("usage").GetProperty("basis").GetString(), record.GetProperty("usage").GetProperty("basis").GetString());
            Assert.Equal(call.End!.Value.GetProperty("cost").GetProperty("usd").GetDecimal(), record.GetProperty("cost_usd").GetDecimal());
        }
        foreach (var call in load.Calls.Where(call => call.ToldOfTheCut))
        {
            // The client saw an end, so the record of that end was there before the kill.
            var record = bySeed[call.Seed];
            Assert.Equal("provider_lost", record.GetProperty("outcome").GetString());
            Assert.True(AuditSight.Tokens(record, "output_tokens") > 0 && record.GetProperty("cost_usd").GetDecimal() > 0, record.GetRawText());
        }
        foreach (var (seed, count) in arrived)
        {
            var charged = bySeed[seed].GetProperty("attempts").EnumerateArray().Count(attempt => attempt.GetProperty("sent").GetBoolean()
                && AuditSight.Tokens(attempt, "input_tokens") > 0 && attempt.GetProperty("cost_usd").GetDecimal() > 0);
            Assert.True(charged >= count, $"call {seed} reached the upstream {count} times and was charged {charged} times: {bySeed[seed]}");
        }
        foreach (var node in (await AuditSight.RecordsAsync(server, "all")).GroupBy(record => record.GetProperty("node").GetString()))
        {
            // A number missing would be a record lost, a number twice one made twice.
            var numbers = node.Select(record => record.GetProperty("sequence").GetInt64()).Order().ToArray();
            Assert.Equal(Enumerable.Range(1, numbers.Length).Select(number => (long)number), numbers);
        }
        await CheckSumsAsync(server, records);
        await using (var verify = ServerProcess.Start(_folder, ["audit", "verify"], Store()))
            Assert.True(await verify.ExitAsync() == 0, verify.Output + verify.Error);
        Assert.Matches(@"(?m)^fairlead_calls_active\S* 0( |$)", await server.TextAsync("/metrics"));
    }

    /// <summary>Audit, ledger and hourly sums agree.</summary>
    private async Task CheckSumsAsync(ServerProcess server, List<JsonElement> records)
    {
        var attempts = records.SelectMany(record => record.GetProperty("attempts").EnumerateArray()).ToArray();
        var input = attempts.Sum(attempt => AuditSight.Tokens(attempt, "input_tokens"));
        var output = attempts.Sum(attempt => AuditSight.Tokens(attempt, "output_tokens"));
        var cost = attempts.Sum(attempt => attempt.GetProperty("cost_usd").GetDecimal());

        var totals = (await AuditSight.AdminAsync(server, "/admin/v1/usage")).GetProperty("totals");
        Assert.Equal(input, totals.GetProperty("input_tokens").GetInt64());
        Assert.Equal(output, totals.GetProperty("output_tokens").GetInt64());
        Assert.Equal(cost, totals.GetProperty("cost_usd").GetDecimal());

        await using DbConnection connection = _postgres is null
            ? new SqliteConnection($"Data Source={Path.Combine(_folder, "data", "fairlead.db")};Mode=ReadOnly;Pooling=False")
            : new NpgsqlConnection(_postgres + ";Pooling=false");
        await connection.OpenAsync(Cancel);
        await using var copy = await StoredRecords.CopyAsync(connection, Cancel);
        await using var command = copy.CreateCommand();
        command.CommandText = "SELECT count(*), count(DISTINCT attempt_id), CAST(sum(input_tokens) AS BIGINT), CAST(sum(output_tokens) AS BIGINT), CAST(sum(cost_pico_usd) AS BIGINT) FROM ledger_entries";
        await using var reader = await command.ExecuteReaderAsync(Cancel);
        Assert.True(await reader.ReadAsync(Cancel));
        Assert.Equal((attempts.Length, attempts.Length, input, output), (reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetInt64(3)));
        Assert.Equal(cost, reader.GetInt64(4) / 1_000_000_000_000m);
    }

    private Task ConfigureAsync(string yaml) => File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), yaml, Cancel);

    private Task<ServerProcess> ServeAsync() => ServerProcess.ServeAsync(_folder, [("FAIRLEAD_ADMIN_KEY", TestGateway.AdminKey), .. Store()]);

    private (string, string)[] Store() => _postgres is null ? [] : [("Fairlead__Storage__ConnectionString", _postgres)];

    /// <summary>Fires when the server's process is gone.</summary>
    private static CancellationToken StopWith(ServerProcess server)
    {
        var source = new CancellationTokenSource();
        server.Process.EnableRaisingEvents = true;
        server.Process.Exited += (_, _) => source.Cancel();
        return source.Token;
    }
}
