using System.Net;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Security;
using Fairlead.Storage;
using Fairlead.Tests.Storage;
using Fairlead.Webhooks;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Webhooks;

/// <summary>One process that stores and delivers webhooks, on a separate database. Receivers on loopback are allowed.</summary>
internal sealed class WebhookFixture : IDisposable
{
    public const string Project = "proj_1";

    private readonly TemporaryStorage _temporary;
    private readonly WebhookSender _sender;

    public WebhookFixture(StorageProvider provider)
    {
        _temporary = new TemporaryStorage(provider);
        Storage = _temporary.Open(new WebhookSchema(), new WebhookQueueSchema());
        Webhooks = new WebhookStore(Storage, Time);
        Outbox = new WebhookOutbox(Storage, Webhooks, Time);
        Deliveries = new WebhookDeliveryStore(Storage, Outbox);
        _sender = new WebhookSender(new WebhookRules(Configuration), new SystemHostResolver(), Time);
        Worker = new WebhookWorker(Storage, Webhooks, Deliveries, _sender, Time, NullLogger<WebhookWorker>.Instance);
    }

    public FakeTimeProvider Time { get; } = new(DateTimeOffset.FromUnixTimeMilliseconds(1_800_000_000_000));

    public IStorage Storage { get; }

    public WebhookStore Webhooks { get; }

    public WebhookDeliveryStore Deliveries { get; }

    public WebhookOutbox Outbox { get; }

    public WebhookWorker Worker { get; }

    public WebhookConfiguration Configuration { get; } = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async Task<Webhook> AddWebhookAsync(string url, string project = Project, params string[] events)
    {
        Time.Advance(TimeSpan.FromMilliseconds(1));
        var webhook = New(url, project, events);
        Assert.True(await Webhooks.AddAsync(webhook, null, Cancel));
        return webhook;
    }

    public Webhook New(string url, string project = Project, params string[] events) => new()
    {
        Id = Ids.New("whk_", Time), OwnerId = project, Url = url, Events = events.Length == 0 ? ["*"] : events, Key = WebhookKey.New(WebhookSignature.Hmac), CreatedAt = Time.GetUtcNow(), UpdatedAt = Time.GetUtcNow(),
    };

    /// <summary>Announces an event in a separate transaction.</summary>
    public Task<int> HappenAsync(string type = WebhookEvents.Completed, string? url = null, bool commit = true, string project = Project) =>
        HappenAsync(new WebhookEvent(project, type, Time.GetUtcNow(), """{"id":"gen_1","object":"generation"}"""u8.ToArray(), url), commit);

    public async Task<int> HappenAsync(WebhookEvent happened, bool commit = true)
    {
        Time.Advance(TimeSpan.FromMilliseconds(1));
        await using var connection = await Storage.OpenAsync(Cancel);
        await using var transaction = await Storage.Sql.BeginWriteAsync(connection, Cancel);
        var count = await Outbox.AddAsync(connection, transaction, happened, Cancel);
        if (commit) await transaction.CommitAsync(Cancel);
        return count;
    }

    public async Task AddProjectAsync()
    {
        await using var connection = await Storage.OpenAsync(Cancel);
        await using var command = connection.CreateCommand();
        command.CommandText = $"INSERT INTO organizations (id, name, created_at, updated_at) VALUES ('org_1', 'Acme', 0, 0); INSERT INTO projects (id, organization_id, name, created_at, updated_at) VALUES ('{Project}', 'org_1', 'Search', 0, 0)";
        await command.ExecuteNonQueryAsync(Cancel);
    }

    public async Task AddProjectsAsync(string organization, params string[] projects)
    {
        await Storage.ExecuteAsync("INSERT INTO organizations (id, name, created_at, updated_at) VALUES (@id, 'Many', 0, 0)", [("@id", organization)], Cancel);
        foreach (var project in projects)
            await Storage.ExecuteAsync("INSERT INTO projects (id, organization_id, name, created_at, updated_at) VALUES (@id, @organization, 'P', 0, 0)", [("@id", project), ("@organization", organization)], Cancel);
    }

    public Task<List<WebhookDelivery>> AllAsync() => Deliveries.ListAsync(Project, null, null, "", 100, Cancel);

    public async Task<WebhookDelivery> OnlyAsync() => Assert.Single(await AllAsync());

    public void Dispose()
    {
        Worker.Dispose();
        _sender.Dispose();
        _temporary.Dispose();
    }
}

internal sealed class WebhookConfiguration : IConfigurationSource
{
    public GatewayConfiguration Current { get; set; } = new GatewayConfiguration().With(new WebhooksConfig { AllowedNetworks = [IPNetwork.Parse("127.0.0.0/8")], AllowHttp = true });

    public event Action<GatewayConfiguration>? Changed
    {
        add { }
        remove { }
    }
}
