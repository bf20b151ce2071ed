using Fairlead.Storage;
using Fairlead.Webhooks;

namespace Fairlead.Tests.Webhooks;

public sealed class SqliteWebhookStoreTests() : WebhookStoreTests(StorageProvider.Sqlite);

public sealed class PostgresWebhookStoreTests() : WebhookStoreTests(StorageProvider.Postgres);

public abstract class WebhookStoreTests : IDisposable
{
    private const string Url = "https://example.com/hooks";

    private readonly WebhookFixture _fixture;

    private protected WebhookStoreTests(StorageProvider provider) => _fixture = new WebhookFixture(provider);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private DateTimeOffset Now => _fixture.Time.GetUtcNow();

    [Fact]
    public async Task Add_ThenFind_ReturnsAllFieldsToOwnProjectOnly()
    {
        var made = _fixture.New(Url, WebhookFixture.Project, WebhookEvents.Failed) with { Description = "Ops \u00e4" };
        Assert.True(await _fixture.Webhooks.AddAsync(made, null, Cancel));
        var found = (await _fixture.Webhooks.FindAsync(WebhookFixture.Project, made.Id, Cancel))!;
        Assert.Equal((made.Url, made.Description, made.Key.ReceiverText, made.Enabled, made.CreatedAt), (found.Url, found.Description, found.Key.ReceiverText, found.Enabled, found.CreatedAt));
        Assert.Equal([WebhookEvents.Failed], found.Events);
        Assert.Null(await _fixture.Webhooks.FindAsync("proj_2", made.Id, Cancel));
        Assert.Null(await _fixture.Webhooks.FindAsync(WebhookFixture.Project, "whk_\0", Cancel));
        Assert.False(await _fixture.Webhooks.DeleteAsync("proj_2", made.Id, null, Cancel));
        Assert.Null(await _fixture.Webhooks.ChangeAsync("proj_2", made.Id, webhook => webhook, null, Cancel));
    }

    [Fact]
    public async Task Add_AboveWebhookLimit_IsRefusedEvenConcurrently()
    {
        var made = Enumerable.Range(0, WebhookStore.MaxPerOwner + 5).Select(_ => _fixture.New(Url)).ToArray();
        var added = await Task.WhenAll(made.Select(webhook => _fixture.Webhooks.AddAsync(webhook, null, Cancel)));
        Assert.Equal(WebhookStore.MaxPerOwner, added.Count(taken => taken));
        Assert.True(await _fixture.Webhooks.AddAsync(_fixture.New(Url, "proj_2"), null, Cancel));
    }

    [Fact]
    public async Task OfRequests_ConcurrentCalls_ReturnSameWebhook()
    {
        var made = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => _fixture.Webhooks.OfRequestsAsync(WebhookFixture.Project, Cancel)));
        Assert.Single(made.Select(webhook => webhook.Id).Distinct());
        Assert.Single(made.Select(webhook => webhook.Key.ReceiverText).Distinct());
    }

    [Fact]
    public async Task Outbox_Commit_AddsOneDeliveryPerSubscriber()
    {
        var all = await _fixture.AddWebhookAsync(Url);
        await _fixture.AddWebhookAsync(Url, WebhookFixture.Project, WebhookEvents.Failed);
        await _fixture.AddWebhookAsync(Url, "proj_2");
        var off = await _fixture.AddWebhookAsync(Url);
        await _fixture.Webhooks.ChangeAsync(WebhookFixture.Project, off.Id, webhook => webhook with { Enabled = false }, null, Cancel);
        Assert.Equal(2, await _fixture.HappenAsync(WebhookEvents.Completed, "https://example.com/once"));

        var deliveries = await _fixture.AllAsync();
        Assert.Equal(2, deliveries.Count);
        Assert.Single(deliveries, delivery => delivery.WebhookId == all.Id && delivery.Url is null);
        Assert.Single(deliveries, delivery => delivery.Url == "https://example.com/once");
        Assert.Single(deliveries.Select(delivery => delivery.EventId).Distinct());
        Assert.Empty(await _fixture.Deliveries.ListAsync("proj_2", null, null, "", 10, Cancel));
    }

    [Fact]
    public async Task Outbox_Rollback_AddsNoDelivery()
    {
        await _fixture.AddWebhookAsync(Url);
        Assert.Equal(1, await _fixture.HappenAsync(commit: false));
        Assert.Empty(await _fixture.AllAsync());
    }

    [Fact]
    public async Task Lease_ConcurrentNodes_GivesEachDeliveryToOneNode()
    {
        for (var i = 0; i < 12; i++) await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        await _fixture.HappenAsync();
        var taken = await Task.WhenAll(Enumerable.Range(0, 6).Select(node => _fixture.Deliveries.LeaseAsync($"node{node}", Now, Now + WebhookWorker.Lease, 5, 5, Cancel)));
        var ids = taken.SelectMany(leased => leased).Select(leased => leased.Delivery.Id).ToList();
        Assert.Equal(ids.Count, ids.Distinct().Count());
        // A node that competed with others may have got fewer than it asked for. The next lease takes the rest.
        ids.AddRange((await _fixture.Deliveries.LeaseAsync("last", Now, Now + WebhookWorker.Lease, 100, 100, Cancel)).Select(leased => leased.Delivery.Id));
        Assert.Equal(24, ids.Distinct().Count());
        Assert.Equal(24, ids.Count);
    }

    [Fact]
    public async Task Lease_ManyDeliveriesForOneReceiver_IsLimitedPerReceiver()
    {
        await _fixture.AddWebhookAsync(Url);
        for (var i = 0; i < 10; i++) await _fixture.HappenAsync();
        Assert.Equal(WebhookDeliveryStore.MaxPerReceiver, (await _fixture.Deliveries.LeaseAsync("a", Now, Now + WebhookWorker.Lease, 100, 100, Cancel)).Count);
        Assert.Empty(await _fixture.Deliveries.LeaseAsync("b", Now, Now + WebhookWorker.Lease, 100, 100, Cancel));
    }

    [Fact]
    public async Task Lease_FailingReceivers_LeaveCapacityForOthers()
    {
        // Longer due than anything else, and of another project.
        for (var i = 0; i < 12; i++)
        {
            var failing = await _fixture.AddWebhookAsync(Url, "proj_2");
            await _fixture.Webhooks.ChangeAsync("proj_2", failing.Id, known => known with { FailingSince = Now }, null, Cancel);
        }
        for (var i = 0; i < 5; i++) await _fixture.HappenAsync(project: "proj_2");
        await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        var taken = await _fixture.Deliveries.LeaseAsync("a", Now, Now + WebhookWorker.Lease, 8, 4, Cancel);
        Assert.Equal(WebhookFixture.Project, taken[0].Webhook.OwnerId);
        // One at each, and no more of them than they may be.
        Assert.Equal(4, taken.Skip(1).Select(one => one.Webhook.Id).Distinct().Count());
        Assert.Equal(5, taken.Count);
        // They hang; the next event of the other one has its room.
        await _fixture.HappenAsync();
        Assert.Equal(WebhookFixture.Project, Assert.Single(await _fixture.Deliveries.LeaseAsync("a", Now, Now + WebhookWorker.Lease, 3, 0, Cancel)).Webhook.OwnerId);
        Assert.Empty(await _fixture.Deliveries.LeaseAsync("a", Now, Now + WebhookWorker.Lease, 3, 0, Cancel));
    }

    [Fact]
    public async Task Lease_WebhookWithLongQueue_YieldsToLessBusyWebhooks()
    {
        var busy = await _fixture.AddWebhookAsync(Url);
        for (var i = 0; i < 10; i++) await _fixture.HappenAsync();
        Assert.Equal(2, (await _fixture.Deliveries.LeaseAsync("a", Now, Now + WebhookWorker.Lease, 2, 0, Cancel)).Count);
        await _fixture.AddWebhookAsync(Url, "proj_2");
        await _fixture.HappenAsync(project: "proj_2");
        var taken = await _fixture.Deliveries.LeaseAsync("a", Now, Now + WebhookWorker.Lease, 2, 0, Cancel);
        Assert.Equal(["proj_2", busy.OwnerId], taken.Select(one => one.Webhook.OwnerId));
    }

    [Fact]
    public async Task Lease_PerRequestUrls_AreLimitedPerUrlAndInTotal()
    {
        for (var i = 0; i < 6; i++) await _fixture.HappenAsync(url: "https://slow.example.com/");
        for (var i = 0; i < 20; i++) await _fixture.HappenAsync(url: $"https://example.com/{i}");
        var first = await _fixture.Deliveries.LeaseAsync("a", Now, Now + WebhookWorker.Lease, 100, 0, Cancel);
        Assert.Equal(WebhookDeliveryStore.MaxForRequests, first.Count);
        Assert.Equal(WebhookDeliveryStore.MaxPerReceiver, first.Count(one => one.Delivery.Url == "https://slow.example.com/"));
        Assert.Empty(await _fixture.Deliveries.LeaseAsync("b", Now, Now + WebhookWorker.Lease, 100, 0, Cancel));
        // Three deliveries to other receivers end. The slow receiver retains its share and gets none of the released slots.
        foreach (var (delivery, webhook) in first.Where(one => one.Delivery.Url != "https://slow.example.com/").Take(3))
            await _fixture.Deliveries.NoteAsync("a", delivery, webhook, Now, Now, new WebhookResult(204, null, null, TimeSpan.Zero), null, Cancel);
        var next = await _fixture.Deliveries.LeaseAsync("b", Now, Now + WebhookWorker.Lease, 100, 0, Cancel);
        Assert.Equal(3, next.Count);
        Assert.DoesNotContain(next, one => one.Delivery.Url == "https://slow.example.com/");
    }

    [Fact]
    public async Task Note_LeaseTakenByAnotherNode_WritesNothing()
    {
        var webhook = await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        var (first, _) = Assert.Single(await _fixture.Deliveries.LeaseAsync("a", Now, Now + WebhookWorker.Lease, 1, 1, Cancel));
        Assert.Empty(await _fixture.Deliveries.LeaseAsync("b", Now, Now + WebhookWorker.Lease, 1, 1, Cancel));
        _fixture.Time.Advance(WebhookWorker.Lease);
        var (second, _) = Assert.Single(await _fixture.Deliveries.LeaseAsync("b", Now, Now + WebhookWorker.Lease, 1, 1, Cancel));

        Assert.Null((await _fixture.Deliveries.NoteAsync("a", first, webhook, Now, Now, new WebhookResult(500, null, null, TimeSpan.Zero), null, Cancel)).Status);
        Assert.Equal(WebhookDeliveryStatus.Delivered, (await _fixture.Deliveries.NoteAsync("b", second, webhook, Now, Now, new WebhookResult(200, null, null, TimeSpan.FromMilliseconds(7)), null, Cancel)).Status);
        Assert.Null((await _fixture.Deliveries.NoteAsync("b", second, webhook, Now, Now, new WebhookResult(200, null, null, TimeSpan.Zero), null, Cancel)).Status);
        var delivery = await _fixture.OnlyAsync();
        Assert.Equal((WebhookDeliveryStatus.Delivered, 1, 200), (delivery.Status, delivery.Attempts, delivery.LastStatusCode!.Value));
        Assert.Equal([new WebhookAttempt(1, Now, TimeSpan.FromMilliseconds(7), 200, null)], await _fixture.Deliveries.HistoryAsync(delivery.Id, Cancel));
    }

    [Fact]
    public async Task Renew_AttemptInProgress_PreventsOtherLeases()
    {
        await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        var (held, _) = Assert.Single(await _fixture.Deliveries.LeaseAsync("a", Now, Now + WebhookWorker.Lease, 1, 1, Cancel));
        for (var i = 0; i < 3; i++)
        {
            _fixture.Time.Advance(WebhookWorker.Lease / 2);
            await _fixture.Deliveries.RenewAsync("a", [held.Id], Now + WebhookWorker.Lease, Cancel);
            await _fixture.Deliveries.RenewAsync("b", [held.Id], Now + WebhookWorker.Lease, Cancel);
        }
        Assert.Empty(await _fixture.Deliveries.LeaseAsync("b", Now, Now + WebhookWorker.Lease, 1, 1, Cancel));
        _fixture.Time.Advance(WebhookWorker.Lease);
        Assert.Single(await _fixture.Deliveries.LeaseAsync("b", Now, Now + WebhookWorker.Lease, 1, 1, Cancel));
    }

    [Fact]
    public async Task Renew_DeliveryUnknownToProcess_LetsLeaseExpire()
    {
        await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        await _fixture.HappenAsync();
        var (known, _) = Assert.Single(await _fixture.Deliveries.LeaseAsync("a", Now, Now + WebhookWorker.Lease, 1, 1, Cancel));
        // The response to this one was lost.
        var (unknown, _) = Assert.Single(await _fixture.Deliveries.LeaseAsync("a", Now, Now + WebhookWorker.Lease, 1, 1, Cancel));
        await _fixture.Deliveries.RenewAsync("a", [known.Id], Now + (2 * WebhookWorker.Lease), Cancel);
        _fixture.Time.Advance(WebhookWorker.Lease + TimeSpan.FromSeconds(1));
        var (taken, _) = Assert.Single(await _fixture.Deliveries.LeaseAsync("b", Now, Now + WebhookWorker.Lease, 2, 2, Cancel));
        Assert.Equal(unknown.Id, taken.Id);
    }

    [Fact]
    public async Task ReleaseAll_AfterCrash_DeliveryCanBeLeasedImmediately()
    {
        await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        Assert.Single(await _fixture.Deliveries.LeaseAsync("a", Now, Now + WebhookWorker.Lease, 1, 1, Cancel));
        await _fixture.Deliveries.ReleaseAllAsync(Cancel);
        Assert.Single(await _fixture.Deliveries.LeaseAsync("b", Now, Now + WebhookWorker.Lease, 1, 1, Cancel));
    }

    [Fact]
    public async Task Delete_Webhook_DeletesItsDeliveries()
    {
        var webhook = await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        var (delivery, _) = Assert.Single(await _fixture.Deliveries.LeaseAsync("a", Now, Now + WebhookWorker.Lease, 1, 1, Cancel));
        Assert.True(await _fixture.Webhooks.DeleteAsync(WebhookFixture.Project, webhook.Id, null, Cancel));
        Assert.Empty(await _fixture.AllAsync());
        Assert.Null((await _fixture.Deliveries.NoteAsync("a", delivery, webhook, Now, Now, new WebhookResult(200, null, null, TimeSpan.Zero), null, Cancel)).Status);
    }

    [Fact]
    public async Task Forget_OldDelivery_IsRemovedWithHistory()
    {
        var webhook = await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        var (delivery, _) = Assert.Single(await _fixture.Deliveries.LeaseAsync("a", Now, Now + WebhookWorker.Lease, 1, 1, Cancel));
        await _fixture.Deliveries.NoteAsync("a", delivery, webhook, Now, Now, new WebhookResult(200, null, null, TimeSpan.Zero), null, Cancel);
        Assert.Equal(0, await _fixture.Deliveries.ForgetAsync(Now - TimeSpan.FromMinutes(1), Cancel));
        Assert.Equal(1, await _fixture.Deliveries.ForgetAsync(Now + TimeSpan.FromMinutes(1), Cancel));
        Assert.Empty(await _fixture.Deliveries.HistoryAsync(delivery.Id, Cancel));
    }

    [Fact]
    public async Task Change_WhoseRecordFails_IsNotMade()
    {
        var kept = _fixture.New(Url);
        Assert.True(await _fixture.Webhooks.AddAsync(kept, null, Cancel));
        var seen = new List<(string? Before, string? After)>();
        WebhookRecord record = (_, before, after) =>
        {
            seen.Add((before?.Id, after?.Id));
            throw new InvalidOperationException("no record");
        };
        var other = _fixture.New(Url);
        await Assert.ThrowsAsync<InvalidOperationException>(() => _fixture.Webhooks.AddAsync(other, record, Cancel));
        await Assert.ThrowsAsync<InvalidOperationException>(() => _fixture.Webhooks.ChangeAsync(WebhookFixture.Project, kept.Id, webhook => webhook with { Enabled = false }, record, Cancel));
        await Assert.ThrowsAsync<InvalidOperationException>(() => _fixture.Webhooks.DeleteAsync(WebhookFixture.Project, kept.Id, record, Cancel));
        Assert.Equal([(null, other.Id), (kept.Id, kept.Id), (kept.Id, null)], seen);
        Assert.Null(await _fixture.Webhooks.FindAsync(WebhookFixture.Project, other.Id, Cancel));
        Assert.True((await _fixture.Webhooks.FindAsync(WebhookFixture.Project, kept.Id, Cancel))!.Enabled);
    }

    [Fact]
    public async Task ForgetOrphans_DeletedProject_RemovesOnlyItsWebhooks()
    {
        await _fixture.AddProjectAsync();
        var kept = await _fixture.AddWebhookAsync(Url);
        var orphan = await _fixture.AddWebhookAsync(Url, "proj_gone");
        await _fixture.HappenAsync(project: "proj_gone");
        await _fixture.AddWebhookAsync(Url, "org_gone");
        Assert.Equal(2, await _fixture.Webhooks.ForgetOrphansAsync(Cancel));
        Assert.NotNull(await _fixture.Webhooks.FindAsync(WebhookFixture.Project, kept.Id, Cancel));
        Assert.Null(await _fixture.Webhooks.FindAsync("proj_gone", orphan.Id, Cancel));
        Assert.Empty(await _fixture.Deliveries.ListAsync("proj_gone", null, null, "", 10, Cancel));
    }

    [Fact]
    public async Task ForgetOrphans_OwnersThatExistOrAreNeverStored_AreKept()
    {
        await _fixture.AddProjectAsync();
        foreach (var owner in (string[])["org_1", "proj_operator", "proj_app_7"]) await _fixture.AddWebhookAsync(Url, owner);
        Assert.Equal(0, await _fixture.Webhooks.ForgetOrphansAsync(Cancel));
    }

    [Fact]
    public async Task Find_WebhookOfOrganization_IsFoundByOrganizationsOnly()
    {
        await _fixture.AddProjectAsync();
        var ofOrganization = await _fixture.AddWebhookAsync(Url, "org_1");
        var ofProject = await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync(project: "org_1");
        Assert.NotNull(await _fixture.Webhooks.FindAsync(WebhookOwner.AnyOrganization, ofOrganization.Id, Cancel));
        Assert.Null(await _fixture.Webhooks.FindAsync(WebhookOwner.AnyOrganization, ofProject.Id, Cancel));
        Assert.Null(await _fixture.Webhooks.FindAsync(WebhookOwner.OrganizationOf(WebhookFixture.Project), ofProject.Id, Cancel));
        Assert.Equal(ofOrganization.Id, Assert.Single(await _fixture.Webhooks.ListAsync(WebhookOwner.OrganizationOf("org_1"), "", 10, Cancel)).Id);
        Assert.Equal(ofOrganization.Id, Assert.Single(await _fixture.Deliveries.ListAsync(WebhookOwner.AnyOrganization, null, null, "", 10, Cancel)).WebhookId);
        Assert.False(await _fixture.Webhooks.DeleteAsync(WebhookOwner.AnyOrganization, ofProject.Id, null, Cancel));
        Assert.True(await _fixture.Webhooks.DeleteAsync(WebhookOwner.AnyOrganization, ofOrganization.Id, null, Cancel));
    }

    [Fact]
    public async Task Outbox_ManyReceivers_GetOneEvent()
    {
        var owners = Enumerable.Range(0, 13).Select(i => $"proj_many_{i}").ToArray();
        await _fixture.AddProjectsAsync("org_many", owners);
        foreach (var owner in owners)
        {
            for (var i = 0; i < WebhookStore.MaxPerOwner; i++) await _fixture.AddWebhookAsync(Url, owner);
        }
        Assert.Equal(owners.Length * WebhookStore.MaxPerOwner, await _fixture.HappenAsync(new WebhookEvent("org_many", WebhookEvents.LimitWarning, Now, "{}"u8.ToArray()) { OrganizationId = "org_many", ForAllProjects = true }));
        foreach (var owner in owners) Assert.Equal(WebhookStore.MaxPerOwner, (await _fixture.Deliveries.ListAsync(owner, null, null, "", 100, Cancel)).Select(delivery => delivery.WebhookId).Distinct().Count());
    }

    [Fact]
    public async Task Subscribers_AfterAChangeAnywhere_AreReadAgain()
    {
        await _fixture.AddProjectAsync();
        using var subscribers = new WebhookSubscribers(_fixture.Storage, WebhookEvents.LimitWarning, _fixture.Time);
        Assert.True((await ReadAsync()).IsEmpty);
        await _fixture.AddWebhookAsync(Url, WebhookFixture.Project, WebhookEvents.Failed);
        Assert.True((await ReadAsync()).IsEmpty);

        var webhook = await _fixture.AddWebhookAsync(Url, WebhookFixture.Project, WebhookEvents.LimitWarning);
        var read = await ReadAsync();
        Assert.Equal((true, true, false, 1), (read.WantsOfProject("org_1", WebhookFixture.Project), read.WantsOfOrganization("org_1", "proj_9"), read.WantsOfProject("org_1", "proj_9"), read.Growth));
        await _fixture.AddWebhookAsync(Url, "org_2");
        Assert.True((await ReadAsync()).WantsOfProject("org_2", "proj_9"));

        await _fixture.Webhooks.ChangeAsync(WebhookFixture.Project, webhook.Id, known => known with { Enabled = false }, null, Cancel);
        read = await ReadAsync();
        Assert.Equal((false, 2), (read.WantsOfOrganization("org_1", WebhookFixture.Project), read.Growth));

        // A notice may be lost.
        await _fixture.Storage.ExecuteAsync("DELETE FROM webhooks", [], Cancel);
        _fixture.Time.Advance(TimeSpan.FromSeconds(30));
        Assert.True((await ReadAsync()).IsEmpty);

        async Task<WebhookSubscriberSet> ReadAsync()
        {
            await using var connection = await _fixture.Storage.OpenAsync(Cancel);
            return await subscribers.ReadAsync(connection, Cancel);
        }
    }

    [Fact]
    public async Task List_Deliveries_IsNewestFirstAndFiltered()
    {
        var one = await _fixture.AddWebhookAsync(Url);
        var two = await _fixture.AddWebhookAsync(Url, WebhookFixture.Project, WebhookEvents.Failed);
        for (var i = 0; i < 3; i++) await _fixture.HappenAsync();
        await _fixture.HappenAsync(WebhookEvents.Failed);
        var all = await _fixture.AllAsync();
        Assert.Equal(5, all.Count);
        Assert.Equal(all.Select(delivery => delivery.Id).OrderDescending(StringComparer.Ordinal), all.Select(delivery => delivery.Id));
        Assert.Equal(all.Skip(2).Select(delivery => delivery.Id), (await _fixture.Deliveries.ListAsync(WebhookFixture.Project, null, "pending", all[1].Id, 10, Cancel)).Select(delivery => delivery.Id));
        Assert.Equal(two.Id, Assert.Single(await _fixture.Deliveries.ListAsync(WebhookFixture.Project, two.Id, null, "", 10, Cancel)).WebhookId);
        Assert.Empty(await _fixture.Deliveries.ListAsync(WebhookFixture.Project, one.Id, "dead", "", 10, Cancel));
    }

    public void Dispose()
    {
        _fixture.Dispose();
        GC.SuppressFinalize(this);
    }
}
