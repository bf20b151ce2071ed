using System.Data.Common;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Storage;
using Fairlead.Tests.Access;
using Fairlead.Webhooks;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Webhooks;

public sealed class SqliteKeyExpiryNoticesTests() : KeyExpiryNoticesTests(StorageProvider.Sqlite);

public sealed class PostgresKeyExpiryNoticesTests() : KeyExpiryNoticesTests(StorageProvider.Postgres);

public abstract class KeyExpiryNoticesTests : IDisposable
{
    private readonly AccessFixture _access;
    private readonly Outbox _outbox = new();
    private readonly KeyExpiryNotices _notices;

    private protected KeyExpiryNoticesTests(StorageProvider provider)
    {
        _access = new AccessFixture(provider);
        _notices = new KeyExpiryNotices(_access.Storage, _outbox, _access.Time, NullLogger<KeyExpiryNotices>.Instance);
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Send_KeyExpires_IsAnnouncedSevenDaysAndOneDayBefore()
    {
        var end = _access.Time.GetUtcNow().AddDays(10);
        await _access.AddKeyAsync(row => row.ExpiresAt = end);
        await _access.AddKeyAsync(id: "key_forever");
        Assert.Equal(0, await _notices.SendAsync(Cancellation));

        _access.Time.Advance(TimeSpan.FromDays(3));
        Assert.Equal(1, await _notices.SendAsync(Cancellation));
        Assert.Equal(0, await _notices.SendAsync(Cancellation));
        _access.Time.Advance(TimeSpan.FromDays(5.9));
        Assert.Equal(0, await _notices.SendAsync(Cancellation));
        _access.Time.Advance(TimeSpan.FromDays(0.1));
        Assert.Equal(1, await _notices.SendAsync(Cancellation));
        Assert.Equal(0, await _notices.SendAsync(Cancellation));
        _access.Time.Advance(TimeSpan.FromDays(2));
        Assert.Equal(0, await _notices.SendAsync(Cancellation));

        Assert.Equal([7, 1], _outbox.Events.Select(one => JsonDocument.Parse(one.Data).RootElement.GetProperty("days").GetInt32()));
        Assert.All(_outbox.Events, one =>
        {
            Assert.Equal(("proj_1", "org_1", WebhookEvents.KeyExpiring), (one.OwnerId, one.OrganizationId, one.Type));
            Assert.Equal("key_1", JsonDocument.Parse(one.Data).RootElement.GetProperty("id").GetString());
        });
    }

    [Fact]
    public async Task Send_ShortLivedOrRevokedKey_IsAnnouncedOnceOrNever()
    {
        await _access.AddKeyAsync(row => row.ExpiresAt = _access.Time.GetUtcNow().AddHours(3));
        await _access.AddKeyAsync(row => (row.ExpiresAt, row.RevokedAt) = (_access.Time.GetUtcNow().AddHours(3), _access.Time.GetUtcNow()), id: "key_2");
        Assert.Equal(1, await _notices.SendAsync(Cancellation));
        _access.Time.Advance(TimeSpan.FromHours(2));
        Assert.Equal(0, await _notices.SendAsync(Cancellation));
    }

    [Fact]
    public async Task Send_TimeWasExtended_AnnouncesAgain()
    {
        await _access.AddKeyAsync(row => row.ExpiresAt = _access.Time.GetUtcNow().AddDays(5));
        Assert.Equal(1, await _notices.SendAsync(Cancellation));
        await using (var change = await _access.Changes.BeginAsync(Cancellation))
        {
            var row = (await KeyTable.FindAsync(change.Connection, "key_1", Cancellation))!;
            row.ExpiresAt = _access.Time.GetUtcNow().AddDays(6);
            await KeyTable.UpdateAsync(change.Connection, row, Cancellation);
            await change.CommitAsync(Cancellation);
        }
        Assert.Equal(1, await _notices.SendAsync(Cancellation));
    }

    public void Dispose()
    {
        _notices.Dispose();
        _access.Dispose();
        GC.SuppressFinalize(this);
    }

    private sealed class Outbox : IWebhookOutbox
    {
        public List<WebhookEvent> Events { get; } = [];

        public Task<int> AddAsync(DbConnection connection, DbTransaction transaction, WebhookEvent happened, CancellationToken cancellationToken)
        {
            Events.Add(happened);
            return Task.FromResult(1);
        }

        public void Announce()
        {
        }
    }
}
