using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Auditing.Ledger;

public sealed class SqliteReconciliationTests() : ReconciliationTests(StorageProvider.Sqlite);

public sealed class PostgresReconciliationTests() : ReconciliationTests(StorageProvider.Postgres);

public abstract class ReconciliationTests : IDisposable
{
    private readonly LedgerFixture _fixture;
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 23, 23, 30, 0, TimeSpan.Zero));
    private readonly Spool _spool;
    private readonly LedgerShipper _shipper;
    private IReservedAmounts? _reserved;

    private protected ReconciliationTests(StorageProvider provider)
    {
        _fixture = new LedgerFixture(provider);
        _spool = _fixture.Spools.Open(segmentBytes: 1024 * 1024);
        _shipper = _fixture.Ship(_spool);
    }

    public void Dispose()
    {
        _fixture.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Reconciliation_EveryCause_ExplainsWholeDifference()
    {
        // The provider counted.
        await EndAsync(Call(), new Made(new Usage(100, 10)));
        // It counted its input, and the client left: charged are 40 tokens of output more than it reported.
        await EndAsync(Call(), new Made(new Usage(100, 50) { Basis = Basis.Estimated }, Reported: new Usage(100, 10)));
        // It reported nothing.
        await EndAsync(Call(), new Made(new Usage(30, 20) { Basis = Basis.Estimated }, IsFinished: true));
        // It broke off after some output, and another attempt responded.
        await EndAsync(Call(), new Made(new Usage(60, 5) { Basis = Basis.Estimated }), new Made(new Usage(60, 7)));

        var line = Assert.Single(await LinesAsync(""))!;
        Assert.Equal(("2026-11-23", "acme", "large-1", 5), ((string?)line["day"], (string?)line["provider"], (string?)line["model"], (int)line["attempts"]!));
        Assert.Equal((260, 27), Tokens(line["reported"]!));
        Assert.Equal((350, 92), Tokens(line["charged"]!));
        Assert.Equal((90, 65), Tokens(line["difference"]!));
        // 2 dollars a million in, 8 out.
        Assert.Equal("0.0007", line["difference"]!["cost_usd"]!.ToJsonString());
        Assert.Equal(
            ["cut 1 0 40 0.00032", "estimated 1 30 20 0.00022", "retried 1 60 5 0.00016"],
            line["causes"]!.AsArray().Select(cause => $"{cause!["cause"]} {cause["attempts"]} {cause["input_tokens"]} {cause["output_tokens"]} {cause["cost_usd"]!.ToJsonString()}"));
    }

    /// <summary>Any mix of attempts: sums are exact, and the parts add up to the whole.</summary>
    [Fact]
    public async Task Reconciliation_AnyAttempts_AddUp()
    {
        var made = new List<Made>();
        var random = new Random(20261123);
        for (var i = 0; i < 60; i++)
        {
            var (kind, charged, reported) = (random.Next(4), new Usage(random.Next(5_000), random.Next(5_000)), new Usage(random.Next(5_000), random.Next(5_000)));
            made.Add(new Made(charged with { Basis = kind == 0 ? Basis.Measured : Basis.Estimated }, kind is 1 or 2 ? reported : null, IsFinished: kind == 2));
        }
        for (var i = 0; i < made.Count; i += 2) await EndAsync(Call(), [.. made.Skip(i).Take(2)]);

        var line = Assert.Single(await LinesAsync(""))!;
        Assert.Equal((made.Sum(one => one.Charged.InputTokens), made.Sum(one => one.Charged.OutputTokens)), Tokens(line["charged"]!));
        var reports = made.Select(one => one.Charged.Basis == Basis.Measured ? one.Charged : one.Reported ?? default).ToArray();
        Assert.Equal((reports.Sum(one => one.InputTokens), reports.Sum(one => one.OutputTokens)), Tokens(line["reported"]!));
        foreach (var member in new[] { "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "cost_usd" })
        {
            var difference = (decimal)line["difference"]![member]!;
            Assert.Equal((decimal)line["charged"]![member]! - (decimal)line["reported"]![member]!, difference);
            Assert.Equal(line["causes"]!.AsArray().Sum(cause => (decimal)cause![member]!), difference);
        }
        // What is charged here is what usage shows.
        var usage = await GetAsync(endpoints => endpoints.AdminUsageAsync, "");
        Assert.Equal((decimal)line["charged"]!["cost_usd"]!, (decimal)usage["totals"]!["cost_usd"]!);
    }

    [Fact]
    public async Task Reconciliation_AttemptsWithoutUsage_AreLeftOut()
    {
        await EndAsync(Call(), new Made(default));
        Assert.Empty(await LinesAsync(""));
    }

    [Fact]
    public async Task Reconciliation_DaysProvidersAndModels_ArePagedInOrder()
    {
        foreach (var (provider, model) in new[] { ("b", "x"), ("a", "y"), ("a", "x"), ("a", "x") }) await EndAsync(Call(provider: provider, model: model), new Made(new Usage(1, 1)));
        _time.Advance(TimeSpan.FromHours(1));
        await EndAsync(Call(provider: "a", model: "x"), new Made(new Usage(1, 1)));
        await EndAsync(Call(provider: "a", model: "x"), new Made(new Usage(1, 1) { Basis = Basis.Estimated }));

        string[] expected = ["2026-11-23 a x 2", "2026-11-23 a y 1", "2026-11-23 b x 1", "2026-11-24 a x 2"];
        Assert.Equal(expected, (await LinesAsync("")).Select(Short));
        foreach (var limit in new[] { 1, 2, 3, 4 })
        {
            var seen = new List<string>();
            string? cursor = null;
            do
            {
                var page = await GetAsync(endpoints => endpoints.ReconciliationAsync, $"?limit={limit}" + (cursor is null ? "" : "&cursor=" + cursor));
                Assert.InRange(page["data"]!.AsArray().Count, 1, limit);
                seen.AddRange(page["data"]!.AsArray().Select(line => Short(line!)));
                cursor = (string?)page["next_cursor"];
            } while (cursor is not null);
            Assert.Equal(expected, seen);
        }
        Assert.Equal(["2026-11-23 b x 1"], (await LinesAsync("?provider=b")).Select(Short));
        Assert.Equal(["2026-11-23 a y 1"], (await LinesAsync("?model=y&provider=a")).Select(Short));
        Assert.Equal(["2026-11-24 a x 2"], (await LinesAsync("?from=2026-11-24")).Select(Short));
        // Widened to whole days.
        Assert.Equal(3, (await LinesAsync("?from=2026-11-23T22:00:00Z&to=2026-11-23T22:30:00Z")).Count);
        Assert.Empty(await LinesAsync("?to=2026-11-23"));
        Assert.Empty(await LinesAsync("?provider=c"));

        static string Short(JsonNode line) => $"{line["day"]} {line["provider"]} {line["model"]} {line["attempts"]}";
    }

    [Fact]
    public async Task Reconciliation_SeveralInvalidParameters_ListsAll()
    {
        var error = await GetAsync(endpoints => endpoints.ReconciliationAsync, "?limit=0&from=yesterday&cursor=%21&key_id=a&provider=", expectedStatus: 400);
        Assert.Equal(["/cursor", "/from", "/key_id", "/limit", "/provider"], error["errors"]!.AsArray().Select(fault => (string)fault!["pointer"]!).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("?limit=1001")]
    [InlineData("?cursor=MQ")]
    [InlineData("?cursor=NQoAClg")]
    [InlineData("?from=2026-11-24&to=2026-11-23")]
    [InlineData("?from=2025-01-01")]
    [InlineData("?provider=a%00b")]
    public async Task Reconciliation_InvalidParameter_Returns400(string query) => await GetAsync(endpoints => endpoints.ReconciliationAsync, query, expectedStatus: 400);

    /// <summary>Prices that change later do not change what was charged and reported earlier.</summary>
    [Fact]
    public async Task Reconciliation_NewPriceEntry_ChangesOnlyLaterCalls()
    {
        PriceList prices = new([new(DateTimeOffset.MinValue, new ModelPrices(1, 0)), new(new DateTimeOffset(2026, 11, 24, 0, 0, 0, TimeSpan.Zero), new ModelPrices(5, 0))]);
        var before = Call(prices: prices);
        await EndAsync(before, new Made(new Usage(1_000_000, 0) { Basis = Basis.Estimated }, Reported: new Usage(500_000, 0)));
        var across = Call(prices: prices);
        _time.Advance(TimeSpan.FromMinutes(30));
        // Accepted yesterday, ended today: yesterday's price and day.
        await EndAsync(across, new Made(new Usage(1_000_000, 0)));
        await EndAsync(Call(prices: prices), new Made(new Usage(1_000_000, 0)));
        // Without `to`, usage ends now, and an hour that starts now is not in it.
        _time.Advance(TimeSpan.FromSeconds(1));

        var lines = await LinesAsync("");
        Assert.Equal([("2026-11-23", "2", "1.5"), ("2026-11-24", "5", "5")],
            lines.Select(line => ((string?)line["day"], line["charged"]!["cost_usd"]!.ToJsonString(), line["reported"]!["cost_usd"]!.ToJsonString())));
        Assert.Equal("7", (await GetAsync(endpoints => endpoints.AdminUsageAsync, ""))["totals"]!["cost_usd"]!.ToJsonString());
    }

    [Fact]
    public async Task Reconciliation_CallShippedTwice_CountsOnce()
    {
        var record = await EndAsync(Call(), new Made(new Usage(10, 10) { Basis = Basis.Estimated }));
        await LedgerFixture.ShipAllAsync(_shipper);
        var call = ShippedCall.Read(record, 1)!;
        await LedgerWriter.WriteAsync(_fixture.Storage, new ChainWriter(null, null, _time), new LedgerBatch("node", [call, call]), null, null, false, TestContext.Current.CancellationToken);
        Assert.Equal(1, (int)Assert.Single(await LinesAsync(""))["attempts"]!);
    }

    /// <summary>A spool or a record of an earlier version says only that an attempt is an estimate.</summary>
    [Fact]
    public async Task Reconciliation_RecordsOfEarlierVersion_GetCauseFromOutcome()
    {
        var attempts = string.Join(',', new[] { ("provider_lost", "estimated", 10), ("complete", "measured", 20), ("complete", "estimated", 30) }.Select((one, i) =>
            $$$"""{"id":"att_{{{i}}}","number":{{{i + 1}}},"deployment":"acme/old","provider":"acme","model":"old","outcome":"{{{one.Item1}}}","error_code":null,"upstream_status":200,"sent":true,"duration_ms":1,"usage":{"input_tokens":{{{one.Item3}}},"cached_input_tokens":0,"cache_write_tokens":0,"output_tokens":1,"reasoning_tokens":0,"basis":"{{{one.Item2}}}"},"cost_usd":0.5}"""));
        var record = $$$"""{"id":"aud_1","at":"2026-11-23T12:00:00Z","request_id":"req_1","generation_id":"gen_1","organization_id":"o","project_id":"p","key_id":"k","address":null,"endpoint":"/","dialect":"d","model_requested":"m","model":"m","provider":"acme","parameters":{},"prompt":null,"policy":null,"attempts":[{{{attempts}}}],"usage":{"input_tokens":30,"cached_input_tokens":0,"cache_write_tokens":0,"output_tokens":1,"reasoning_tokens":0,"basis":"estimated"},"cost_usd":1.5,"outcome":"complete","error_code":null,"status":200,"timing_ms":{},"content":null}""";
        var call = ShippedCall.Read(System.Text.Encoding.UTF8.GetBytes(record), 1)!;
        await LedgerWriter.WriteAsync(_fixture.Storage, new ChainWriter(null, null, _time), new LedgerBatch("node", [call]), null, null, false, TestContext.Current.CancellationToken);
        var line = Assert.Single(await LinesAsync(""))!;
        Assert.Equal((20, 1), Tokens(line["reported"]!));
        Assert.Equal(["estimated 30", "retried 10"], line["causes"]!.AsArray().Select(cause => $"{cause!["cause"]} {cause["input_tokens"]}"));
    }

    [Fact]
    public async Task Usage_GroupedByMonth_SumsCalendarMonths()
    {
        await EndAsync(Call(), new Made(new Usage(1, 1)));
        _time.Advance(TimeSpan.FromDays(8));
        await EndAsync(Call(), new Made(new Usage(1, 1)));
        await EndAsync(Call(), new Made(new Usage(1, 1)));
        var usage = await GetAsync(endpoints => endpoints.AdminUsageAsync, "?group_by=month,model&from=2026-11-02");
        Assert.Equal(
            ["2026-11-02T00:00:00Z 2026-12-01T00:00:00Z 1", "2026-12-01T00:00:00Z 2026-12-02T00:00:00Z 2"],
            usage["data"]!.AsArray().Select(row => $"{row!["from"]} {row["to"]} {row["requests"]}"));
        await GetAsync(endpoints => endpoints.AdminUsageAsync, "?group_by=month,day", expectedStatus: 400);
    }

    [Fact]
    public async Task Usage_WithReservations_ShowsThemBesideSettled()
    {
        await EndAsync(Call(), new Made(new Usage(100, 10)));
        var hour = new DateTimeOffset(_time.GetUtcNow().UtcDateTime.Date, TimeSpan.Zero).AddHours(_time.GetUtcNow().Hour);
        _reserved = new Held(
        [
            new("org_of_proj_1", "proj_1", "key_1", "large", "standard", hour, 250_000_000_000), new("org_of_proj_1", "proj_1", "key_2", "large", "bulk", hour.AddHours(-2), 1),
            new("org_9", "proj_9", "key_9", "small", "standard", hour, 2), new("org_9", "proj_9", "key_9", "small", "standard", hour.AddDays(-40), 9),
        ]);

        Assert.Equal(["key_1 0.00028 0.25", "key_2 0 0.000000000001", "key_9 0 0.000000000002"], await RowsAsync("?group_by=key"));
        Assert.Equal(["org_9 0 0.000000000002", "org_of_proj_1 0.00028 0.250000000001"], await RowsAsync("?group_by=organization"));
        Assert.Equal(["key_2 0 0.000000000001"], await RowsAsync("?group_by=key&key_id=key_2"));
        Assert.Equal("0.250000000003", (await GetAsync(endpoints => endpoints.AdminUsageAsync, ""))["totals"]!["reserved_usd"]!.ToJsonString());
        Assert.Equal(["bulk 0 0.000000000001", "standard 0.00028 0.250000000002"], await RowsAsync("?group_by=class"));
        Assert.Equal(["large 0.00028 0.250000000001", "small 0 0.000000000002"], await RowsAsync("?group_by=model"));
        // At the time when the calls were accepted. They have no outcome yet.
        Assert.Equal([" 0 0.250000000003", "complete 0.00028 0"], await RowsAsync("?group_by=outcome"));
        var hours = (await GetAsync(endpoints => endpoints.AdminUsageAsync, "?group_by=hour"))["data"]!.AsArray();
        Assert.Equal([(hour.AddHours(-2), "0.000000000001"), (hour, "0.250000000002")], hours.Select(row => ((DateTimeOffset)row!["from"]!, row["reserved_usd"]!.ToJsonString())));
        Assert.Equal(["0.000000000009"], (await GetAsync(endpoints => endpoints.AdminUsageAsync, $"?group_by=month,key&key_id=key_9&from={hour.AddDays(-41):yyyy-MM-dd}&to={hour.AddDays(-39):yyyy-MM-dd}"))["data"]!.AsArray()
            .Select(row => row!["reserved_usd"]!.ToJsonString()));
        Assert.DoesNotContain("reserved_usd", (await GetAsync(endpoints => endpoints.AdminUsageAsync, "?outcome=complete")).ToJsonString(), StringComparison.Ordinal);

        async Task<IEnumerable<string>> RowsAsync(string query) => (await GetAsync(endpoints => endpoints.AdminUsageAsync, query))["data"]!.AsArray()
            .Select(row => $"{row!["group"]!.AsObject().Single().Value} {row["cost_usd"]!.ToJsonString()} {row["reserved_usd"]!.ToJsonString()}");
    }

    private static (long, long) Tokens(JsonNode usage) => ((long)usage["input_tokens"]!, (long)usage["output_tokens"]!);

    private (GatewayCall Call, Deployment Deployment) Call(string provider = "acme", string model = "large-1", PriceList? prices = null) =>
        (RecordedCalls.New(_time), new Deployment { Name = $"{provider}/{model}", ProviderName = provider, UpstreamModel = model, Prices = prices ?? new ModelPrices(2m, 8m) });

    /// <summary>Ends a call with these attempts in this order; returns its record.</summary>
    private async Task<byte[]> EndAsync((GatewayCall Call, Deployment Deployment) made, params Made[] attempts)
    {
        var call = made.Call;
        foreach (var one in attempts)
        {
            var number = call.Attempts.Count + 1;
            var attempt = new Attempt(Attempt.IdOf(call, number), number, made.Deployment) { Sent = true, Outcome = "complete" };
            call.Attempts.Add(attempt);
            await _spool.AttemptStartedAsync(call, attempt);
            if (one.Reported is { } reported) attempt.Meter.ReportUsage(reported);
            if (one.IsFinished) attempt.Meter.Finish(FinishReason.Stop, 0);
            attempt.Usage = one.Charged;
            attempt.Cost = AttemptCharge.CostOf(call, attempt, one.Charged);
        }
        call.Ending = new CallEnding(Outcome.Complete, call.Attempts[^1].Usage, new Cost(call.Attempts.Sum(attempt => attempt.Cost.Usd), Basis.Estimated));
        var output = new System.Buffers.ArrayBufferWriter<byte>();
        AuditRecordWriter.WriteEnded(output, call, 200);
        await _spool.CallEndedAsync(call, 200);
        return output.WrittenSpan.ToArray();
    }

    private async Task<List<JsonNode>> LinesAsync(string query) => [.. (await GetAsync(endpoints => endpoints.ReconciliationAsync, query))["data"]!.AsArray().Select(line => line!)];

    private async Task<JsonNode> GetAsync(Func<LedgerEndpoints, EndpointHandler> endpoint, string query, int expectedStatus = 200)
    {
        await LedgerFixture.ShipAllAsync(_shipper);
        var endpoints = new LedgerEndpoints(_shipper, new AuditReader(_fixture.Storage), new UsageReader(_fixture.Storage), new ReconciliationReader(_fixture.Storage), _time, _reserved);
        using var body = new MemoryStream();
        await using var services = new ServiceCollection().AddSingleton<TimeProvider>(_time).BuildServiceProvider();
        var context = new DefaultHttpContext { RequestServices = services, RequestAborted = TestContext.Current.CancellationToken };
        context.Request.QueryString = new QueryString(query);
        context.Response.Body = body;
        await new EndpointInvoker(new Operator(), NullLogger<EndpointInvoker>.Instance).InvokeAsync(context, new EndpointPolicy(Scopes.AdminRead, ErrorShape.Problem), endpoint(endpoints));
        await context.Response.BodyWriter.FlushAsync(TestContext.Current.CancellationToken);
        var text = System.Text.Encoding.UTF8.GetString(body.ToArray());
        Assert.True(expectedStatus == context.Response.StatusCode, text);
        return JsonNode.Parse(text)!;
    }

    /// <param name="Charged">What is charged; estimated unless the provider's count is.</param>
    /// <param name="Reported">What the provider reported, or null.</param>
    /// <param name="IsFinished">Whether its response has an end.</param>
    private sealed record Made(Usage Charged, Usage? Reported = null, bool IsFinished = false);

    private sealed class Held(IReadOnlyList<ReservedAmount> amounts) : IReservedAmounts
    {
        public ValueTask<IReadOnlyList<ReservedAmount>> ReadAsync(CancellationToken cancellationToken) => new(amounts);
    }

    private sealed class Operator : ICallerSource
    {
        public ValueTask<AuthenticationResult> AuthenticateAsync(HttpContext context, string? scope) => new(new AuthenticationResult(
            new Caller { OrganizationId = "o", OrganizationName = "O", ProjectId = "p", ProjectName = "P", KeyId = "k", KeyName = "K", Scopes = [Scopes.AdminRead], Admin = AdminGrant.Owner }, null));
    }
}
