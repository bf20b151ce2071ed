using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Auditing;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Auditing.Ledger;

public sealed class SqliteLedgerEndpointsTests() : LedgerEndpointsTests(StorageProvider.Sqlite);

public sealed class PostgresLedgerEndpointsTests() : LedgerEndpointsTests(StorageProvider.Postgres);

public abstract class LedgerEndpointsTests : IDisposable
{
    private readonly LedgerFixture _fixture;
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 23, 12, 30, 0, TimeSpan.Zero));
    private readonly Spool _spool;
    private readonly LedgerShipper _shipper;
    private readonly KnownCaller _callers = new();
    private readonly LedgerEndpoints _endpoints;

    private protected LedgerEndpointsTests(StorageProvider provider)
    {
        _fixture = new LedgerFixture(provider);
        _spool = _fixture.Spools.Open(segmentBytes: 1024 * 1024);
        _shipper = _fixture.Ship(_spool);
        _endpoints = new LedgerEndpoints(_shipper, new AuditReader(_fixture.Storage), new UsageReader(_fixture.Storage), new ReconciliationReader(_fixture.Storage), _time);
    }

    public void Dispose()
    {
        _fixture.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Audit_Paging_ReturnsEachRecordOnceNewestFirst()
    {
        var ids = new List<string>();
        for (var i = 0; i < 23; i++)
        {
            ids.Add(await CallAsync());
            // Several within one millisecond.
            if (i % 4 == 0) _time.Advance(TimeSpan.FromMilliseconds(1));
        }
        await ShipAsync();

        var seen = new List<string>();
        string? cursor = null;
        do
        {
            var page = await GetAsync(_endpoints.AuditAsync, "?limit=5" + (cursor is null ? "" : "&cursor=" + cursor));
            seen.AddRange(page["data"]!.AsArray().Select(record => (string)record!["generation_id"]!));
            cursor = (string?)page["next_cursor"];
        } while (cursor is not null);
        Assert.Equal(ids.AsEnumerable().Reverse(), seen);
    }

    [Fact]
    public async Task Audit_Record_HasNodeAndSequence()
    {
        await CallAsync();
        await ShipAsync();
        var record = (await GetAsync(_endpoints.AuditAsync, ""))["data"]![0]!.AsObject();
        Assert.Equal(["id", "node", "sequence", "at"], record.Select(member => member.Key).Take(4));
        Assert.Equal(_spool.Folder.Node, (string?)record["node"]);
        Assert.Equal(1, (long)record["sequence"]!);
        Assert.Equal("2026-11-23T12:30:00Z", (string?)record["at"]);
    }

    [Theory]
    [InlineData("?organization_id=org_of_proj_2", 4)]
    [InlineData("?project_id=proj_2", 4)]
    [InlineData("?key_id=key_b", 2)]
    [InlineData("?model=small", 3)]
    [InlineData("?outcome=cancelled", 1)]
    [InlineData("?outcome=complete", 6)]
    [InlineData("?project_id=proj_2&outcome=cancelled", 1)]
    [InlineData("?project_id=proj_1&outcome=cancelled", 0)]
    [InlineData("?key_id=key_b&model=small&project_id=proj_2&organization_id=org_of_proj_2", 1)]
    [InlineData("?from=2026-11-23T12:30:00Z&to=2026-11-23T12:32:00Z", 2)]
    [InlineData("?from=2026-11-23T13:32:00+01:00&model=large", 2)]
    [InlineData("?to=2026-11-23", 0)]
    [InlineData("?generation_id=gen_of_nobody", 0)]
    public async Task Audit_Filters_ReturnMatchingRecords(string query, int expected)
    {
        foreach (var (project, key, model, outcome) in new[]
        {
            ("proj_1", "key_a", "large", Outcome.Complete), ("proj_1", "key_a", "small", Outcome.Complete), ("proj_1", "key_a", "large", Outcome.Complete),
            ("proj_2", "key_b", "large", Outcome.Complete), ("proj_2", "key_b", "small", Outcome.Complete), ("proj_2", "key_c", "small", Outcome.Complete), ("proj_2", "key_c", "huge", Outcome.Cancelled),
        })
        {
            await CallAsync(project, key, model, outcome);
            _time.Advance(TimeSpan.FromMinutes(1));
        }
        await ShipAsync();
        var page = await GetAsync(_endpoints.AuditAsync, query);
        Assert.Equal(expected, page["data"]!.AsArray().Count);
        Assert.Null(page["next_cursor"]);
    }

    [Fact]
    public async Task Audit_ByGenerationAndRequestId_FindsRecord()
    {
        await CallAsync();
        var id = await CallAsync();
        await CallAsync();
        await ShipAsync();
        var found = Assert.Single((await GetAsync(_endpoints.AuditAsync, "?generation_id=" + id))["data"]!.AsArray())!;
        var again = Assert.Single((await GetAsync(_endpoints.AuditAsync, "?request_id=" + (string)found["request_id"]!))["data"]!.AsArray())!;
        Assert.Equal(id, (string?)again["generation_id"]);
        Assert.Single((await GetAsync(_endpoints.AuditAsync, $"?generation_id={id}&request_id={(string)found["request_id"]!}&key_id=key_1"))["data"]!.AsArray());
        Assert.Empty((await GetAsync(_endpoints.AuditAsync, $"?generation_id={id}&request_id=req_other"))["data"]!.AsArray());
        Assert.Empty((await GetAsync(_endpoints.AuditAsync, $"?generation_id={id}&model=none"))["data"]!.AsArray());
    }

    /// <summary>A line of a batch or a repeated run has a generation that its request's id says nothing of.</summary>
    [Fact]
    public async Task Audit_RequestIdUnrelatedToGenerationId_FindsRecord()
    {
        await CallAsync();
        var call = RecordedCalls.New(_time, id: Ids.New("gen_", _time));
        await _spool.AttemptStartedAsync(call, call.Try());
        await _spool.CallEndedAsync(call.End(), 200);
        var found = Assert.Single((await GetAsync(_endpoints.AuditAsync, "?request_id=" + call.RequestId))["data"]!.AsArray())!;
        Assert.Equal(call.GenerationId, (string?)found["generation_id"]);
        Assert.Empty((await GetAsync(_endpoints.AuditAsync, "?request_id=" + Ids.Sibling("req_", call.GenerationId)))["data"]!.AsArray());
        Assert.Equal(call.RequestId, Assert.Single(await _fixture.TextsAsync($"SELECT request_id FROM audit_records WHERE id = '{AuditRecordWriter.RecordIdOf(call.GenerationId)}'")));
    }

    /// <summary>Calls of one millisecond have an order, too, and a page ends in the middle of them.</summary>
    [Theory]
    [InlineData("")]
    [InlineData("&key_id=key_1")]
    [InlineData("&key_id=key_2&model=large")]
    public async Task Audit_PagingWithCommonFilter_ReturnsEachOnceNewestFirst(string filter)
    {
        var made = new List<(string Generation, string Key, string Model)>();
        for (var i = 0; i < 60; i++)
        {
            var (key, model) = ($"key_{i % 3}", i % 2 == 0 ? "large" : "small");
            made.Add((await CallAsync(key: key, model: model), key, model));
            if (i % 9 == 0) _time.Advance(TimeSpan.FromMilliseconds(1));
        }
        await ShipAsync();
        made.Reverse();
        var expected = made.Where(call => (!filter.Contains("key_id") || filter.Contains(call.Key)) && (!filter.Contains("model") || filter.Contains(call.Model))).Select(call => call.Generation);

        var found = new List<string>();
        string? cursor = null;
        do
        {
            var page = await GetAsync(_endpoints.AuditAsync, "?limit=7" + filter + (cursor is null ? "" : "&cursor=" + cursor));
            found.AddRange(page["data"]!.AsArray().Select(record => (string)record!["generation_id"]!));
            cursor = (string?)page["next_cursor"];
        } while (cursor is not null);
        Assert.Equal(expected, found);
    }

    [Fact]
    public async Task Audit_RareMatch_ReturnsShortPagesAndStillFindsIt()
    {
        // One record a block, so that the search looks at more blocks than a page may.
        var blocks = AuditReader.MaxBlocks * 9 / 4;
        for (var i = 1; i <= blocks; i += 1000) await AddBlocksAsync(i, Math.Min(i + 999, blocks));
        var pages = 0;
        string? cursor = null;
        var found = 0;
        do
        {
            var page = await GetAsync(_endpoints.AuditAsync, "?key_id=key&model=rare" + (cursor is null ? "" : "&cursor=" + cursor));
            found += page["data"]!.AsArray().Count;
            cursor = (string?)page["next_cursor"];
            pages++;
        } while (cursor is not null);
        Assert.Equal((1, 3), (found, pages));
    }

    [Theory]
    [InlineData("?user=alice", "0 3")]
    [InlineData("?user=bob", "1")]
    [InlineData("?user=carol", "")]
    [InlineData("?metadata.team=search", "0 2")]
    [InlineData("?metadata.team=search&user=alice", "0")]
    [InlineData("?metadata.team=search&metadata.run=7", "2")]
    [InlineData("?metadata.team=7", "")]
    [InlineData("?metadata.run=search", "")]
    [InlineData("?metadata.model=large&model=large", "1")]
    [InlineData("?metadata.say=a+%22b%22%0Ac", "", 400)]
    [InlineData("?metadata.say=a%20%22b%22", "3")]
    [InlineData("?provider=acme", "0 1 2 3")]
    [InlineData("?provider=other", "")]
    [InlineData("?code=provider_error", "3")]
    [InlineData("?code=provider_error&user=bob", "")]
    [InlineData("?min_cost_usd=0", "0 1 2 3")]
    [InlineData("?min_cost_usd=0.00028", "0 1 2 3")]
    [InlineData("?min_cost_usd=0.000280000001", "1 2 3")]
    [InlineData("?min_cost_usd=0.001000", "1 2 3")]
    [InlineData("?min_cost_usd=0.0010001&metadata.team=search", "2")]
    [InlineData("?min_cost_usd=9000000", "")]
    public async Task Audit_ByLabelsProviderCodeAndCost_ReturnsMatchingRecords(string query, string expected, int status = 200)
    {
        var ids = new List<string>
        {
            await LabelledAsync("alice", 10, null, ("team", "search")),
            await LabelledAsync("bob", 100, null, ("x", "1"), ("model", "large")),
            await LabelledAsync(null, 1_000, null, ("team", "search"), ("run", "7")),
            await LabelledAsync("alice", 10_000, new GatewayError(ErrorCode.ProviderError, "x"), ("say", "a \"b\"")),
        };
        var page = await GetAsync(_endpoints.AuditAsync, query, status);
        if (status != 200) return;
        Assert.Equal(expected, string.Join(' ', page["data"]!.AsArray().Select(record => ids.IndexOf((string)record!["generation_id"]!)).Order()));
    }

    [Fact]
    public async Task Audit_RecordWithLabels_ShowsThem()
    {
        await LabelledAsync("alice", 10, null, ("team", "search"), ("größe", "\"ü\""));
        await CallAsync();
        var records = (await GetAsync(_endpoints.AuditAsync, ""))["data"]!.AsArray();
        Assert.False(records[0]!.AsObject().ContainsKey("user"));
        Assert.False(records[0]!.AsObject().ContainsKey("metadata"));
        Assert.Equal("alice", (string?)records[1]!["user"]);
        Assert.Equal(["team=search", "größe=\"ü\""], records[1]!["metadata"]!.AsObject().Select(pair => $"{pair.Key}={(string)pair.Value!}"));
    }

    [Fact]
    public async Task Audit_SeveralInvalidParameters_ListsAll()
    {
        var error = await GetAsync(_endpoints.AuditAsync, "?limit=0&from=yesterday&outcome=good&colour=red&cursor=%21&model=a&model=b", expectedStatus: 400);
        Assert.Equal("invalid_parameter", (string?)error["code"]);
        Assert.Equal(["/colour", "/cursor", "/from", "/limit", "/model", "/outcome"], error["errors"]!.AsArray().Select(fault => (string)fault!["pointer"]!).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("?limit=501")]
    [InlineData("?limit=-1")]
    [InlineData("?limit=")]
    [InlineData("?cursor=MQ")]
    [InlineData("?cursor=%FF%FE")]
    [InlineData("?from=2026-11-24&to=2026-11-23")]
    [InlineData("?from=99999-01-01")]
    [InlineData("?from=0001-01-01")]
    [InlineData("?key_id=")]
    [InlineData("?key_id=a%00b")]
    [InlineData("?generation_id=gen_%00")]
    [InlineData("?model=%0D%0A")]
    [InlineData("?min_cost_usd=-1")]
    [InlineData("?min_cost_usd=1e3")]
    [InlineData("?min_cost_usd=0.0000000000001")]
    [InlineData("?min_cost_usd=9000001")]
    [InlineData("?min_cost_usd=much")]
    [InlineData("?user=")]
    [InlineData("?provider=")]
    [InlineData("?code=%00")]
    [InlineData("?metadata=x")]
    [InlineData("?metadata.=x")]
    [InlineData("?metadata.team=")]
    [InlineData("?metadata.team=a&metadata.team=b")]
    [InlineData("?metadata.%00=x")]
    [InlineData("?metadata.a23456789012345678901234567890123456789012345678901234567890123456=x")]
    [InlineData("?metadata.1=x&metadata.2=x&metadata.3=x&metadata.4=x&metadata.5=x&metadata.6=x&metadata.7=x&metadata.8=x&metadata.9=x&metadata.10=x&metadata.11=x&metadata.12=x&metadata.13=x&metadata.14=x&metadata.15=x&metadata.16=x&metadata.17=x")]
    public async Task Audit_InvalidParameter_Returns400(string query) => await GetAsync(_endpoints.AuditAsync, query, expectedStatus: 400);

    [Fact]
    public async Task Audit_KeyWithoutScope_IsRefused()
    {
        _callers.Scopes = [.. Scopes.Default];
        var error = await GetAsync(_endpoints.AuditAsync, "", expectedStatus: 403);
        Assert.Equal("insufficient_scope", (string?)error["code"]);
    }

    [Fact]
    public async Task Usage_GroupedByDayAndModel_SumsExactly()
    {
        await CallAsync(model: "large");
        await CallAsync(model: "small");
        _time.Advance(TimeSpan.FromHours(11));
        await CallAsync(model: "large");
        _time.Advance(TimeSpan.FromHours(2));
        await CallAsync(model: "large");
        await ShipAsync();

        var usage = await GetAsync(_endpoints.AdminUsageAsync, "?group_by=model,day");
        Assert.Equal(
            ["2026-11-23T00:00:00Z large 2", "2026-11-23T00:00:00Z small 1", "2026-11-24T00:00:00Z large 1"],
            usage["data"]!.AsArray().Select(row => $"{row!["from"]} {row["group"]!["model"]} {row["requests"]}"));
        // The last day ends where the question does: at the end of this hour.
        Assert.Equal("2026-11-24T02:00:00Z", (string?)usage["data"]![2]!["to"]);
        Assert.Equal(4, (long)usage["totals"]!["requests"]!);
        Assert.Equal(400, (long)usage["totals"]!["input_tokens"]!);
        Assert.Equal("0.00112", usage["totals"]!["cost_usd"]!.ToJsonString());
    }

    [Fact]
    public async Task Usage_NoRecords_HasZeroTotals()
    {
        var usage = await GetAsync(_endpoints.AdminUsageAsync, "");
        Assert.Empty(usage["data"]!.AsArray());
        Assert.Equal("0", usage["totals"]!["cost_usd"]!.ToJsonString());
    }

    [Fact]
    public async Task OwnUsage_AnyQuery_ReturnsOnlyCallersProject()
    {
        await CallAsync("proj_1", "key_a");
        await CallAsync("proj_1", "key_b");
        await CallAsync("proj_2", "key_c");
        await ShipAsync();
        _callers.Scopes = [.. Scopes.Default];

        Assert.Equal("standard", (string?)(await GetAsync(_endpoints.OwnUsageAsync, "?group_by=class"))["data"]![0]!["group"]!["class"]);
        var usage = await GetAsync(_endpoints.OwnUsageAsync, "?group_by=key");
        Assert.Equal(["key_a", "key_b"], usage["data"]!.AsArray().Select(row => (string)row!["group"]!["key_id"]!));
        Assert.Empty((await GetAsync(_endpoints.OwnUsageAsync, "?key_id=key_c"))["data"]!.AsArray());
        await GetAsync(_endpoints.OwnUsageAsync, "?project_id=proj_2", expectedStatus: 400);
        await GetAsync(_endpoints.OwnUsageAsync, "?group_by=project", expectedStatus: 400);
    }

    [Theory]
    [InlineData("?group_by=colour")]
    [InlineData("?group_by=day,hour")]
    [InlineData("?group_by=model,model")]
    [InlineData("?group_by=")]
    [InlineData("?model=a%00b")]
    [InlineData("?from=2020-01-01")]
    [InlineData("?from=2026-11-24")]
    public async Task Usage_InvalidParameter_Returns400(string query) => await GetAsync(_endpoints.AdminUsageAsync, query, expectedStatus: 400);

    [Fact]
    public async Task Usage_RowsAboveLimit_Returns400()
    {
        await _fixture.ExecuteAsync("""
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001)
            INSERT INTO usage_hours (project_id, key_id, hour, model, outcome, class, organization_id, requests, input_tokens, cached_input_tokens,
                cache_write_tokens, output_tokens, reasoning_tokens, cost_pico_usd)
            SELECT 'p', 'key_' || i, 1795392000000, 'm', 'complete', 'standard', 'o', 1, 1, 0, 0, 1, 0, 1 FROM n
            """);
        var error = await GetAsync(_endpoints.AdminUsageAsync, "?group_by=key&from=2026-11-23&to=2026-11-24", expectedStatus: 400);
        Assert.Contains("10000", (string)error["detail"]!, StringComparison.Ordinal);
        Assert.Equal(10001, (long)(await GetAsync(_endpoints.AdminUsageAsync, "?from=2026-11-23&to=2026-11-24"))["totals"]!["requests"]!);
    }

    // The third has a model of its own.
    private async Task AddBlocksAsync(int first, int last)
    {
        await using var connection = await _fixture.Storage.OpenAsync(TestContext.Current.CancellationToken);
        await using var transaction = await _fixture.Storage.Sql.BeginWriteAsync(connection, TestContext.Current.CancellationToken);
        var builder = new BlockBuilder();
        for (var i = first; i <= last; i++)
        {
            var at = DateTimeOffset.UnixEpoch.AddSeconds(i).ToString("O", CultureInfo.InvariantCulture);
            builder.Begin("n", i, new byte[32]);
            builder.Add(ShippedCall.Read(Encoding.UTF8.GetBytes($$"""
                {"id":"aud_{{i}}","at":"{{at}}","request_id":"req_{{i}}","generation_id":"gen_{{i}}","key_id":"key","model":"{{(i == 3 ? "rare" : "common")}}","outcome":"complete"}
                """), i)!);
            await BlockTable.InsertAsync(connection, builder.ToRow(), TestContext.Current.CancellationToken);
        }
        await transaction.CommitAsync(TestContext.Current.CancellationToken);
    }

    private async Task<string> CallAsync(string project = "proj_1", string key = "key_1", string model = "large", Outcome outcome = Outcome.Complete)
    {
        var call = RecordedCalls.New(_time, project, key, model: model);
        await _spool.AttemptStartedAsync(call, call.Try());
        await _spool.CallEndedAsync(call.End(outcome: outcome), 200);
        return call.GenerationId;
    }

    private async Task<string> LabelledAsync(string? user, long output, GatewayError? error, params (string Key, string Value)[] metadata)
    {
        var call = RecordedCalls.New(_time);
        if (user is not null) call.Facts.Label().User = user;
        foreach (var (key, value) in metadata) call.Facts.Label().Add(key, value);
        await _spool.AttemptStartedAsync(call, call.Try());
        await _spool.CallEndedAsync(call.End(output, error is null ? Outcome.Complete : Outcome.Failed, error), 200);
        return call.GenerationId;
    }

    private Task ShipAsync() => LedgerFixture.ShipAllAsync(_shipper);

    private async Task<JsonNode> GetAsync(EndpointHandler endpoint, string query, int expectedStatus = 200)
    {
        await ShipAsync();
        using var body = new MemoryStream();
        await using var services = new ServiceCollection().AddSingleton<TimeProvider>(_time).BuildServiceProvider();
        var context = new DefaultHttpContext { RequestServices = services, RequestAborted = TestContext.Current.CancellationToken };
        context.Request.QueryString = new QueryString(query.Replace("+", "%2B", StringComparison.Ordinal));
        context.Response.Body = body;
        var scope = endpoint == _endpoints.OwnUsageAsync ? Scopes.UsageRead : Scopes.AdminRead;
        var invoker = new EndpointInvoker(_callers, NullLogger<EndpointInvoker>.Instance);
        await invoker.InvokeAsync(context, new EndpointPolicy(scope, ErrorShape.Problem), endpoint);
        await context.Response.BodyWriter.FlushAsync(TestContext.Current.CancellationToken);
        Assert.Equal(expectedStatus, context.Response.StatusCode);
        return JsonNode.Parse(body.ToArray())!;
    }

    private sealed class KnownCaller : ICallerSource
    {
        public string[] Scopes { get; set; } = [Fairlead.Access.Scopes.AdminRead, Fairlead.Access.Scopes.UsageRead];

        public ValueTask<AuthenticationResult> AuthenticateAsync(HttpContext context, string? scope)
        {
            var caller = new Caller { OrganizationId = "org_of_proj_1", OrganizationName = "O", ProjectId = "proj_1", ProjectName = "P", KeyId = "key_a", KeyName = "K", Scopes = [.. Scopes], Admin = AdminRoles.OfScopes(Scopes) is { } role ? new AdminGrant(role) : null };
            return new(scope is null || caller.HasScope(scope)
                ? new AuthenticationResult(caller, null)
                : new AuthenticationResult(null, new GatewayError(ErrorCode.InsufficientScope, $"The key lacks the scope {scope}.")));
        }
    }
}
