using Fairlead.Generations;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Spooling;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Limits.Budgets;
using Fairlead.Limits.Thresholds;
using Fairlead.Storage;
using Fairlead.Tests.Auditing;
using Fairlead.Tests.Auditing.Spooling;
using Fairlead.Tests.Storage;
using Fairlead.Webhooks;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Limits.Thresholds;

/// <summary>Nodes that share a database and a folder of spools, and the webhooks of the project and the organization of their calls.</summary>
internal sealed class ThresholdWorld : IDisposable
{
    public const string Project = "proj_1";
    public const string Organization = "org_of_proj_1";

    private readonly TemporaryStorage _database;
    private readonly List<ThresholdNode> _nodes = [];

    public ThresholdWorld(StorageProvider provider)
    {
        _database = new TemporaryStorage(provider);
        Storage = OpenStorage();
        Webhooks = new WebhookStore(Storage, Time);
        Deliveries = new WebhookDeliveryStore(Storage, new WebhookOutbox(Storage, Webhooks, Time));
    }

    public static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>The clock of the nodes and of their calls.</summary>
    public FakeTimeProvider Time { get; } = new(new DateTimeOffset(2026, 11, 23, 12, 30, 0, TimeSpan.Zero));

    public TemporarySpool Spools { get; } = new();

    public IStorage Storage { get; }

    public WebhookStore Webhooks { get; }

    public WebhookDeliveryStore Deliveries { get; }

    /// <summary>The limits that all nodes know.</summary>
    public DeclaredLimits Limits { get; } = new();

    /// <summary>One process. On PostgreSQL it has its own connections.</summary>
    public ThresholdNode Start(DeclaredLimits? limits = null)
    {
        var storage = Storage.Provider == StorageProvider.Sqlite ? Storage : OpenStorage();
        var node = new ThresholdNode(Spools.Open(segmentBytes: 32 * 1024), storage, limits ?? Limits, _database.Configuration, Time);
        _nodes.Add(node);
        return node;
    }

    public async Task<Webhook> SubscribeAsync(string owner, string url = "https://hooks.invalid/", params string[] events)
    {
        Time.Advance(TimeSpan.FromMilliseconds(1));
        var webhook = new Webhook
        {
            Id = Ids.New("whk_", Time), OwnerId = owner, Url = url, Events = events.Length == 0 ? [WebhookEvents.LimitWarning] : events,
            Key = WebhookKey.New(WebhookSignature.Hmac), CreatedAt = Time.GetUtcNow(), UpdatedAt = Time.GetUtcNow(),
        };
        Assert.True(await Webhooks.AddAsync(webhook, null, Cancel));
        NoticeArrives();
        return webhook;
    }

    public async Task EnableAsync(string owner, Webhook webhook, bool enabled)
    {
        Assert.NotNull(await Webhooks.ChangeAsync(owner, webhook.Id, known => known with { Enabled = enabled }, null, Cancel));
        NoticeArrives();
    }

    /// <summary>The <c>data</c> of all events for an owner, the oldest first.</summary>
    public async Task<List<JsonElement>> EventsAsync(string owner)
    {
        var deliveries = await Deliveries.ListAsync(owner, null, null, "", 1000, Cancel);
        deliveries.Reverse();
        return deliveries.ConvertAll(delivery =>
        {
            var body = JsonDocument.Parse(delivery.Payload).RootElement;
            Assert.Equal(WebhookEvents.LimitWarning, body.GetProperty("type").GetString());
            return body.GetProperty("data");
        });
    }

    /// <summary>The thresholds of all events for an owner, in ascending order.</summary>
    public async Task<IEnumerable<int>> ThresholdsAsync(string owner) =>
        [.. (await EventsAsync(owner)).Select(data => data.GetProperty("threshold_percent").GetInt32()).Order()];

    public async Task<long> CountAsync(string sql)
    {
        await using var connection = await Storage.OpenAsync(Cancel);
        return await connection.Int64Async(sql, [], Cancel) ?? 0;
    }

    public Task ExecuteAsync(string sql) => Storage.ExecuteAsync(sql, [], Cancel);

    public IStorage OpenStorage() => _database.Open(
        new WebhookSchema(), new WebhookQueueSchema(), new LedgerSchema(), new CompactLedgerSchema(), new UsageClassSchema(), new ReconciliationSchema(), new AuditBlockSchema(),
        new GenerationSchema(), new GenerationHoldSchema(), new BudgetLeaseSchema(), new ReservedAmountsSchema(), new BudgetTotalsSchema());

    // Between processes it takes a while, and may be lost. Then they look again after this time.
    private void NoticeArrives()
    {
        if (Storage.Provider == StorageProvider.Postgres) Time.Advance(TimeSpan.FromSeconds(30));
    }

    public void Dispose()
    {
        foreach (var node in _nodes) node.Dispose();
        Spools.Dispose();
        _database.Dispose();
    }
}

/// <summary>One process that ends calls and ships them.</summary>
internal sealed class ThresholdNode : IDisposable
{
    private readonly FakeTimeProvider _time;
    private readonly WebhookSubscribers _subscribers;

    public ThresholdNode(Spool spool, IStorage storage, DeclaredLimits limits, FixedConfiguration configuration, FakeTimeProvider time)
    {
        _time = time;
        Spool = spool;
        _subscribers = new WebhookSubscribers(storage, WebhookEvents.LimitWarning, time);
        Thresholds = new BudgetThresholds(
            storage, BudgetHolder.Of(spool), _subscribers, new DeclaredBudgets(limits, limits, configuration),
            new WebhookOutbox(storage, new WebhookStore(storage, time), time), time);
        Shipper = new LedgerShipper(spool, storage, TimeProvider.System, NullLogger<LedgerShipper>.Instance, null, Thresholds);
    }

    public Spool Spool { get; }

    public BudgetThresholds Thresholds { get; }

    public LedgerShipper Shipper { get; }

    /// <summary>Ends a call that used 100 input tokens and <paramref name="output"/> output tokens: 0.0002 and 0.000008 dollars each.</summary>
    public async Task EndAsync(long output, string @class = "standard", string key = "key_1", string project = ThresholdWorld.Project)
    {
        var call = RecordedCalls.New(_time, project, key);
        call.Class = @class;
        await Spool.AttemptStartedAsync(call, call.Try());
        await Spool.CallEndedAsync(call.End(output), 200);
    }

    public async Task ShipAsync()
    {
        while (await Shipper.ShipAsync(ThresholdWorld.Cancel))
        {
        }
    }

    public async Task SettleAsync(long output, string @class = "standard")
    {
        await EndAsync(output, @class);
        await ShipAsync();
    }

    /// <summary>As if the process was killed.</summary>
    public void Kill() => Spool.Dispose();

    public void Dispose()
    {
        Shipper.Dispose();
        _subscribers.Dispose();
    }
}

/// <summary>The limits that a node knows, and the callers and models that have them.</summary>
internal sealed class DeclaredLimits : ICurrentCallers, ICatalogue, ICatalogueSnapshot
{
    public LimitSet Organization { get; set; } = LimitSet.None;

    public LimitSet Project { get; set; } = LimitSet.None;

    public LimitSet Key { get; set; } = LimitSet.None;

    public LimitSet Model { get; set; } = LimitSet.None;

    /// <summary>False for a process that does not know the key.</summary>
    public bool KnowsCallers { get; set; } = true;

    public object? Version => null;

    public ICatalogueSnapshot Current => this;

    public IReadOnlyList<CatalogueModel> Models => [Find("large")!];

    Caller? ICurrentCallers.Find(string keyId) => !KnowsCallers ? null : new Caller
    {
        OrganizationId = ThresholdWorld.Organization,
        OrganizationName = "Org",
        ProjectId = ThresholdWorld.Project,
        ProjectName = "Project",
        KeyId = keyId,
        KeyName = "Key",
        Scopes = [],
        OrganizationLimits = Organization,
        ProjectLimits = Project,
        KeyLimits = Key,
    };

    public CatalogueModel? Find(string name) => name == "large" ? new CatalogueModel { Id = "large", OwnedBy = "acme", Limits = Model } : null;
}
