using Fairlead.Access;
using Fairlead.Storage;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Access;

public sealed class SqliteKeyUseTests() : KeyUseTests(StorageProvider.Sqlite);

public sealed class PostgresKeyUseTests() : KeyUseTests(StorageProvider.Postgres);

public abstract class KeyUseTests : IDisposable
{
    private readonly AccessFixture _access;
    private readonly KeyUseWriter _writer;

    private protected KeyUseTests(StorageProvider provider)
    {
        _access = new AccessFixture(provider);
        _writer = new KeyUseWriter(_access.Snapshots, _access.Storage, _access.Time, NullLogger<KeyUseWriter>.Instance);
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Write_UsedKeys_AreStoredOnceEach()
    {
        var key = await _access.AddKeyAsync();
        await _access.AddKeyAsync(id: "key_2");
        Assert.Equal(0, await _writer.WriteAsync(Cancellation));
        _access.Authenticate(key);
        _access.Authenticate(key);
        Assert.Equal(1, await _writer.WriteAsync(Cancellation));
        Assert.Equal(0, await _writer.WriteAsync(Cancellation));
        Assert.Equal((_access.Time.GetUtcNow(), null), ((await FindAsync("key_1")).LastUsedAt, (await FindAsync("key_2")).LastUsedAt));
    }

    /// <summary>Storing a use must not have all nodes read all keys again, and a reload must not forget a use.</summary>
    [Fact]
    public async Task Use_AcrossAReload_IsKeptAndChangesNoRevision()
    {
        var key = await _access.AddKeyAsync();
        _access.Authenticate(key);
        await _access.Snapshots.ReloadAsync(Cancellation);
        var revision = _access.Snapshots.Current!.Revision;
        Assert.Equal(1, await _writer.WriteAsync(Cancellation));
        await _access.Snapshots.ReloadAsync(Cancellation);
        Assert.Equal(revision, _access.Snapshots.Current!.Revision);
    }

    [Fact]
    public async Task Use_RefusedKey_IsNotNoted()
    {
        var key = await _access.AddKeyAsync(row => row.Addresses = ["10.0.0.0/8"]);
        _access.Authenticate(key, address: "192.0.2.1");
        Assert.Equal(0, await _writer.WriteAsync(Cancellation));
    }

    [Fact]
    public async Task List_UnusedSince_HasOldUnusedKeysOnly()
    {
        var used = await _access.AddKeyAsync();
        await _access.AddKeyAsync(id: "key_2");
        await _access.AddKeyAsync(row => row.RevokedAt = _access.Time.GetUtcNow(), id: "key_3");
        _access.Time.Advance(TimeSpan.FromDays(10));
        await _access.AddKeyAsync(id: "key_4");
        _access.Authenticate(used);
        await _writer.WriteAsync(Cancellation);
        await using var connection = await _access.Storage.OpenAsync(Cancellation);
        var unused = await KeyTable.ListAsync(connection, "", null, null, null, Cancellation, _access.Time.GetUtcNow().AddDays(-5));
        Assert.Equal(["key_2"], unused.Select(row => row.Id));
    }

    [Theory]
    [InlineData(null, null, null, null)]
    [InlineData("full", null, null, "full")]
    [InlineData("full", "hash", "full", "hash")]
    [InlineData("none", "full", "full", "none")]
    [InlineData(null, null, "redacted", "redacted")]
    [InlineData("redacted", "full", null, "redacted")]
    public async Task AuditContent_OfOrganizationProjectAndKey_StrictestCounts(string? organization, string? project, string? key, string? expected)
    {
        var secret = await _access.AddKeyAsync(row => row.AuditContent = key);
        await using (var change = await _access.Changes.BeginAsync(Cancellation))
        {
            var owner = await OrganizationTable.FindAsync(change.Connection, "org_1", Cancellation);
            await OrganizationTable.UpdateAsync(change.Connection, owner! with { AuditContent = organization }, Cancellation);
            var part = await ProjectTable.FindAsync(change.Connection, "proj_1", Cancellation);
            await ProjectTable.UpdateAsync(change.Connection, part! with { AuditContent = project }, Cancellation);
            await change.CommitAsync(Cancellation);
        }
        await _access.Snapshots.ReloadAsync(Cancellation);
        Assert.Equal(AuditContents.Find(expected), _access.Authenticate(secret).Caller!.AuditContent);
    }

    private async Task<ApiKeyRow> FindAsync(string id)
    {
        await using var connection = await _access.Storage.OpenAsync(Cancellation);
        return (await KeyTable.FindAsync(connection, id, Cancellation))!;
    }

    public void Dispose()
    {
        _writer.Dispose();
        _access.Dispose();
        GC.SuppressFinalize(this);
    }
}
