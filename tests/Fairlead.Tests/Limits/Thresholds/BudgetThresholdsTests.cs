using System.Net;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Auditing.Ledger;
using Fairlead.Configuration;
using Fairlead.Limits.Thresholds;
using Fairlead.Security;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Fairlead.Tests.Webhooks;
using Fairlead.Webhooks;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Limits.Thresholds;

public sealed class SqliteBudgetThresholdsTests() : BudgetThresholdsTests(StorageProvider.Sqlite);

public sealed class PostgresBudgetThresholdsTests() : BudgetThresholdsTests(StorageProvider.Postgres);

/// <summary>What the events of budgets promise on both databases.</summary>
public abstract class BudgetThresholdsTests : IDisposable
{
    private const string Project = ThresholdWorld.Project;
    private const string Organization = ThresholdWorld.Organization;

    private readonly ThresholdWorld _world;

    private protected BudgetThresholdsTests(StorageProvider provider) => _world = new ThresholdWorld(provider);

    public void Dispose()
    {
        _world.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Settled_CrossesThreshold_IsReportedOnceToProjectAndOrganization()
    {
        await _world.SubscribeAsync(Project);
        await _world.SubscribeAsync(Organization);
        await _world.SubscribeAsync("proj_2");
        await _world.SubscribeAsync("org_2");
        await _world.SubscribeAsync(Project, "https://hooks.invalid/", WebhookEvents.Failed);
        _world.Limits.Project = new LimitSet { TokensPerMonth = 1000 };
        var node = _world.Start();
        await node.SettleAsync(399);
        Assert.Empty(await _world.EventsAsync(Project));
        await node.SettleAsync(60);
        await node.SettleAsync(0);

        var data = Assert.Single(await _world.EventsAsync(Project));
        Assert.Equal(data.GetRawText(), Assert.Single(await _world.EventsAsync(Organization)).GetRawText());
        Assert.Empty(await _world.EventsAsync("proj_2"));
        Assert.Empty(await _world.EventsAsync("org_2"));
        Assert.Equal(
            """
            {"id":"proj_1","object":"limit","name":"tokens_per_month","scope":"project","organization_id":"org_of_proj_1","project_id":"proj_1","key_id":null,"model":null,"class":null,"threshold_percent":50,"percent":65.9,"limit":1000,"settled":659,"currency":null,"period_start":"2026-11-01T00:00:00.000Z","period_end":"2026-12-01T00:00:00.000Z"}
            """, data.GetRawText());
    }

    [Fact]
    public async Task Settled_OneCallCrossesSeveral_ReportsEachOnce()
    {
        await _world.SubscribeAsync(Project);
        _world.Limits.Key = new LimitSet { PicoUsdPerDay = 1_000_000_000 };
        var node = _world.Start();
        await node.SettleAsync(80);
        Assert.Equal([50, 80], await _world.ThresholdsAsync(Project));
        await node.SettleAsync(1000);
        Assert.Equal([50, 80, 95, 100], await _world.ThresholdsAsync(Project));
        var last = (await _world.EventsAsync(Project))[^1];
        Assert.Equal((904m, "USD", 0.001m, 0.00904m), (last.GetProperty("percent").GetDecimal(), last.GetProperty("currency").GetString(),
            last.GetProperty("limit").GetDecimal(), last.GetProperty("settled").GetDecimal()));
        Assert.Equal("key_1", last.GetProperty("key_id").GetString());
        Assert.Equal("2026-11-24T00:00:00.000Z", last.GetProperty("period_end").GetString());
        await node.SettleAsync(1000);
        Assert.Equal(4, (await _world.EventsAsync(Project)).Count);
    }

    [Theory]
    [InlineData("organization", "org_of_proj_1", null)]
    [InlineData("project", "proj_1", null)]
    [InlineData("key", "key_1", null)]
    [InlineData("model", "org_of_proj_1", "large")]
    public async Task Settled_EveryScopeNameAndClass_IsReported(string scope, string id, string? model)
    {
        await _world.SubscribeAsync(Project);
        await _world.SubscribeAsync(Organization);
        var values = new LimitSet { TokensPerDay = 400, TokensPerMonth = 400, PicoUsdPerDay = 2_000_000_000, PicoUsdPerMonth = 2_000_000_000 };
        var limits = values with { Classes = new Dictionary<string, LimitSet> { ["bulk"] = values, ["realtime"] = values } };
        _world.Limits.Organization = scope == "organization" ? limits : LimitSet.None;
        _world.Limits.Project = scope == "project" ? limits : LimitSet.None;
        _world.Limits.Key = scope == "key" ? limits : LimitSet.None;
        _world.Limits.Model = scope == "model" ? limits : LimitSet.None;
        var node = _world.Start();
        await node.SettleAsync(110, "bulk");

        foreach (var owner in (string[])[Project, Organization])
        {
            var events = await _world.EventsAsync(owner);
            Assert.All(events, data => Assert.Equal((scope, id, model), (Text(data, "scope"), Text(data, "id"), Text(data, "model"))));
            Assert.Equal(
                [.. ((string[])["tokens_per_day", "tokens_per_month", "usd_per_day", "usd_per_month"]).SelectMany(name => (string[])[name + " bulk", name + " null"])],
                events.Select(data => $"{Text(data, "name")} {Text(data, "class") ?? "null"}").Order(StringComparer.Ordinal));
        }
        // Calls of other classes count against the general budgets only.
        await node.SettleAsync(110);
        Assert.DoesNotContain(await _world.EventsAsync(Project), data => Text(data, "class") == "bulk" && data.GetProperty("threshold_percent").GetInt32() > 50);
    }

    [Fact]
    public async Task Settled_LimitOfOrganization_IsReportedToAllItsProjects()
    {
        await _world.ExecuteAsync($"INSERT INTO organizations (id, name, created_at, updated_at) VALUES ('{Organization}', 'Org', 0, 0)");
        foreach (var project in (string[])["proj_1", "proj_3"])
            await _world.ExecuteAsync($"INSERT INTO projects (id, organization_id, name, created_at, updated_at) VALUES ('{project}', '{Organization}', 'P', 0, 0)");
        await _world.SubscribeAsync("proj_3");
        await _world.SubscribeAsync("proj_2");
        _world.Limits.Organization = new LimitSet { TokensPerDay = 200 };
        _world.Limits.Project = new LimitSet { TokensPerDay = 200 };
        await _world.Start().SettleAsync(10);
        var data = Assert.Single(await _world.EventsAsync("proj_3"));
        Assert.Equal(("organization", null), (Text(data, "scope"), Text(data, "project_id")));
        Assert.Empty(await _world.EventsAsync("proj_2"));
    }

    [Fact]
    public async Task Period_Next_StartsAgainAndOldTotalsAreDeleted()
    {
        await _world.SubscribeAsync(Project);
        _world.Limits.Project = new LimitSet { TokensPerDay = 200 };
        var node = _world.Start();
        await node.SettleAsync(10);
        _world.Time.Advance(TimeSpan.FromHours(12));
        await node.SettleAsync(10);
        Assert.Equal([50, 50], await _world.ThresholdsAsync(Project));
        Assert.Equal(2, await _world.CountAsync("SELECT COUNT(*) FROM budget_totals"));
        _world.Time.Advance(3 * BudgetThresholds.AfterPeriod);
        await node.SettleAsync(10);
        Assert.Equal([50, 50, 50], await _world.ThresholdsAsync(Project));
        Assert.Equal(1, await _world.CountAsync("SELECT COUNT(*) FROM budget_totals"));
    }

    [Fact]
    public async Task Settled_LongAfterThePeriod_IsNotReported()
    {
        await _world.SubscribeAsync(Project);
        _world.Limits.Project = new LimitSet { TokensPerDay = 200 };
        var node = _world.Start();
        await node.EndAsync(10);
        _world.Time.Advance(TimeSpan.FromHours(12) + BudgetThresholds.AfterPeriod);
        await node.ShipAsync();
        Assert.Empty(await _world.EventsAsync(Project));
    }

    [Fact]
    public async Task Limit_RaisedInThePeriod_RepeatsNoThreshold()
    {
        await _world.SubscribeAsync(Project);
        _world.Limits.Project = new LimitSet { TokensPerMonth = 1000 };
        var node = _world.Start();
        await node.SettleAsync(750);
        _world.Limits.Project = new LimitSet { TokensPerMonth = 10_000 };
        await node.SettleAsync(8000);
        Assert.Equal([50, 80], await _world.ThresholdsAsync(Project));
        await node.SettleAsync(500);
        Assert.Equal([50, 80, 95], await _world.ThresholdsAsync(Project));
        // Nothing is allowed, and nothing can be crossed.
        _world.Limits.Project = new LimitSet { TokensPerMonth = 0 };
        await node.SettleAsync(500);
        Assert.Equal([50, 80, 95], await _world.ThresholdsAsync(Project));
    }

    [Fact]
    public async Task Receiver_AddedLater_GetsTheThresholdWithTheNextCall()
    {
        _world.Limits.Project = new LimitSet { TokensPerMonth = 1100 };
        var node = _world.Start();
        await node.SettleAsync(700);
        Assert.Equal(0, await _world.CountAsync("SELECT COUNT(*) FROM budget_totals"));
        var first = await _world.SubscribeAsync(Project);
        await node.SettleAsync(0);
        Assert.Equal(900, Assert.Single(await _world.EventsAsync(Project), data => data.GetProperty("threshold_percent").GetInt32() == 80).GetProperty("settled").GetInt64());

        // Usage while nobody received it is counted when somebody does again: these are 1,000 tokens, and 1,100 with the last call.
        await _world.EnableAsync(Project, first, false);
        await node.SettleAsync(0);
        await _world.EnableAsync(Project, first, true);
        await node.SettleAsync(0);
        Assert.Equal([50, 80, 95, 100], await _world.ThresholdsAsync(Project));
    }

    [Fact]
    public async Task Usage_WithoutReceiverOrBudget_NeedsNoDatabase()
    {
        Assert.SkipWhen(_world.Storage.Provider == StorageProvider.Postgres, "A notice that arrives late causes one more read.");
        var usage = new SettledUsage(Organization, Project, "key_1", "large", "standard", Hour.ToUnixTimeMilliseconds(), 600, 600);
        var node = _world.Start();
        _world.Limits.Project = new LimitSet { TokensPerMonth = 1000 };
        await node.SettleAsync(0);
        // No connection: it would throw.
        await node.Thresholds.AddedAsync(null!, null!, [usage], ThresholdWorld.Cancel);

        await _world.SubscribeAsync(Project);
        _world.Limits.Project = new LimitSet { RequestsPerMinute = 1, ConcurrentGenerations = 1 };
        await node.SettleAsync(0);
        await node.Thresholds.AddedAsync(null!, null!, [usage], ThresholdWorld.Cancel);
        await node.Thresholds.AddedAsync(null!, null!, [usage with { OrganizationId = "org_2", ProjectId = "proj_2" }], ThresholdWorld.Cancel);
        Assert.Equal(0, await _world.CountAsync("SELECT COUNT(*) FROM budget_totals"));
    }

    [Fact]
    public async Task Nodes_ParallelCalls_ReportEachThresholdOnce()
    {
        const int Calls = 60;
        await _world.SubscribeAsync(Project);
        await _world.SubscribeAsync(Organization);
        // Every call uses 100 tokens; the last of them reaches the limit.
        var values = new LimitSet { TokensPerMonth = 3 * Calls * 100, PicoUsdPerMonth = 3 * Calls * 200_000_000L };
        (_world.Limits.Project, _world.Limits.Organization, _world.Limits.Model) = (values, values, values);
        ThresholdNode[] nodes = [_world.Start(), _world.Start(), _world.Start()];
        await Task.WhenAll(nodes.Select(node => Task.Run(async () =>
        {
            for (var i = 0; i < Calls; i++)
            {
                await node.EndAsync(0);
                if (i % 3 == 0) await node.ShipAsync();
            }
            await node.ShipAsync();
        }, ThresholdWorld.Cancel)));

        foreach (var owner in (string[])[Project, Organization])
        {
            var events = await _world.EventsAsync(owner);
            Assert.Equal(3 * 2 * 4, events.Count);
            Assert.Equal(3 * 2 * 4, events.Select(data => $"{Text(data, "scope")} {Text(data, "name")} {data.GetProperty("threshold_percent").GetInt32()}").Distinct().Count());
            Assert.All(events, data => Assert.True(data.GetProperty("percent").GetDecimal() >= data.GetProperty("threshold_percent").GetInt32()));
        }
    }

    [Fact]
    public async Task Node_UnawareOfTheLimit_IsCountedLater()
    {
        await _world.SubscribeAsync(Project);
        _world.Limits.Project = new LimitSet { TokensPerMonth = 1000 };
        var aware = _world.Start();
        await aware.SettleAsync(0);
        await _world.Start(new DeclaredLimits()).SettleAsync(500);
        await aware.SettleAsync(0);
        Assert.Empty(await _world.EventsAsync(Project));
        _world.Time.Advance(TimeSpan.FromMinutes(1));
        await aware.SettleAsync(0);
        Assert.Equal([50, 80], await _world.ThresholdsAsync(Project));
    }

    [Fact]
    public async Task Transaction_RolledBack_ReportsNothingAndThenOnce()
    {
        await _world.SubscribeAsync(Project);
        _world.Limits.Project = new LimitSet { TokensPerMonth = 1000 };
        var node = _world.Start();
        await using (var connection = await _world.Storage.OpenAsync(ThresholdWorld.Cancel))
        {
            await using var transaction = await _world.Storage.Sql.BeginWriteAsync(connection, ThresholdWorld.Cancel);
            await connection.ExecuteAsync(
                """
                INSERT INTO usage_hours (project_id, key_id, hour, model, outcome, class, organization_id, requests, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost_pico_usd)
                VALUES ('proj_1', 'key_1', @hour, 'large', 'complete', 'standard', 'org_of_proj_1', 1, 600, 0, 0, 0, 0, 0)
                """, [("@hour", Hour)], ThresholdWorld.Cancel);
            await node.Thresholds.AddedAsync(connection, transaction,
                [new(Organization, Project, "key_1", "large", "standard", Hour.ToUnixTimeMilliseconds(), 600, 0)], ThresholdWorld.Cancel);
            Assert.Equal(1, await connection.Int64Async("SELECT COUNT(*) FROM webhook_deliveries", [], ThresholdWorld.Cancel));
            await transaction.RollbackAsync(ThresholdWorld.Cancel);
        }
        Assert.Equal(0, await _world.CountAsync("SELECT COUNT(*) FROM budget_totals"));
        await node.SettleAsync(500);
        Assert.Equal([50], await _world.ThresholdsAsync(Project));
    }

    [Fact]
    public async Task Process_KilledBeforeItShipped_IsReportedByItsSuccessor()
    {
        await _world.SubscribeAsync(Organization);
        await _world.ExecuteAsync($$$"""
            INSERT INTO organizations (id, name, limits, created_at, updated_at) VALUES ('{{{Organization}}}', 'Org', '{"tokens_per_day":400}', 0, 0)
            """);
        var first = _world.Start();
        await first.EndAsync(200);
        first.Kill();
        // It has no snapshot of callers yet.
        await _world.Start(new DeclaredLimits { KnowsCallers = false }).ShipAsync();
        Assert.Equal([50], await _world.ThresholdsAsync(Organization));
    }

    [Fact]
    public async Task Process_KilledAfterTheCommit_IsDeliveredOnceByItsSuccessor()
    {
        await using var receiver = await WebhookReceiver.StartAsync();
        await _world.SubscribeAsync(Project, receiver.Url);
        _world.Limits.Project = new LimitSet { TokensPerMonth = 1000 };
        var first = _world.Start();
        await first.SettleAsync(500);
        first.Kill();

        var storage = _world.OpenStorage();
        var webhooks = new WebhookStore(storage, _world.Time);
        using var sender = new WebhookSender(new WebhookRules(new WebhookConfiguration()), new SystemHostResolver(), _world.Time);
        using var worker = new WebhookWorker(
            storage, webhooks, new WebhookDeliveryStore(storage, new WebhookOutbox(storage, webhooks, _world.Time)), sender, _world.Time, NullLogger<WebhookWorker>.Instance);
        await worker.DeliverDueAsync(ThresholdWorld.Cancel);
        var body = JsonDocument.Parse((await receiver.NextAsync(ThresholdWorld.Cancel)).Body).RootElement;
        Assert.Equal("limit.warning", body.GetProperty("type").GetString());
        // The successor reads the spool of the first again, and adds nothing.
        await _world.Start().ShipAsync();
        await worker.DeliverDueAsync(ThresholdWorld.Cancel);
        Assert.False(receiver.HasMore);
    }

    private static DateTimeOffset Hour => new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);

    private static string? Text(JsonElement data, string name) => data.GetProperty(name).GetString();
}
