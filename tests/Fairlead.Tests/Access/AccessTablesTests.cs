using System.Data.Common;
using Fairlead.Access;
using Fairlead.Storage;
using Fairlead.Tests.Storage;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Access;

public sealed class SqliteAccessTablesTests() : AccessTablesTests(StorageProvider.Sqlite);

public sealed class PostgresAccessTablesTests() : AccessTablesTests(StorageProvider.Postgres);

public abstract class AccessTablesTests : IDisposable
{
    private readonly TemporaryStorage _temporary;

    private protected AccessTablesTests(StorageProvider provider) => _temporary = new TemporaryStorage(provider);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Insert_EveryColumn_RoundTrips()
    {
        var storage = _temporary.Open();
        var at = DateTimeOffset.FromUnixTimeMilliseconds(1_800_000_000_123);
        using var changes = new AccessChanges(storage, TimeProvider.System);
        await using (var change = await changes.BeginAsync(Cancellation))
        {
            var made = new OrganizationRow { Id = "org_1", Name = "Ω & co", Weight = 0.012345m, Limits = """{"burst":2}""", CreatedAt = at, UpdatedAt = at.AddHours(1) };
            await OrganizationTable.InsertAsync(change.Connection, made, Cancellation);
            await ProjectTable.InsertAsync(
                change.Connection, new ProjectRow { Id = "proj_1", OrganizationId = "org_1", Name = "p", Limits = """{"usd_per_day":1}""", CreatedAt = at, UpdatedAt = at }, Cancellation);
            var key = new ApiKeyRow
            {
                Id = "key_1", ProjectId = "proj_1", Name = "k", Scopes = ["chat", "models:read"], Models = ["a\"b", "c,d"], Classes = ["bulk"],
                DefaultClass = "bulk", Addresses = ["10.0.0.0/8"], ExpiresAt = at.AddDays(1), ApiVersion = "2026-11-23", Extensions = false,
                BatchTokens = 9, BatchDelayMs = 0, Rescue = "off", Limits = """{"tokens_per_day":0}""", RevokedAt = at.AddDays(2), CreatedAt = at, UpdatedAt = at,
            };
            key.Secrets.Add(new ApiKeySecretRow { PublicId = "pub", KeyId = "key_1", Hash = [1, 2, 3], CreatedAt = at, RetiresAt = at.AddMinutes(3) });
            await KeyTable.InsertAsync(change.Connection, key, Cancellation);
            await change.CommitAsync(Cancellation);
        }

        await using var connection = await storage.OpenAsync(Cancellation);
        var organization = await OrganizationTable.FindAsync(connection, "org_1", Cancellation);
        Assert.Equal(new OrganizationRow { Id = "org_1", Name = "Ω & co", Weight = 0.012345m, Limits = """{"burst":2}""", CreatedAt = at, UpdatedAt = at.AddHours(1) }, organization);
        var project = await ProjectTable.FindAsync(connection, "proj_1", Cancellation);
        Assert.Equal(new ProjectRow { Id = "proj_1", OrganizationId = "org_1", Name = "p", Limits = """{"usd_per_day":1}""", CreatedAt = at, UpdatedAt = at }, project);
        var read = Assert.Single(await KeyTable.ListAsync(connection, "", null, null, null, Cancellation));
        Assert.Equal(("key_1", "proj_1", "k", "bulk"), (read.Id, read.ProjectId, read.Name, read.DefaultClass));
        Assert.Equal(["chat", "models:read"], read.Scopes);
        Assert.Equal(["a\"b", "c,d"], read.Models!);
        Assert.Equal(["bulk"], read.Classes);
        Assert.Equal(["10.0.0.0/8"], read.Addresses);
        Assert.Equal((at.AddDays(1), "2026-11-23", false, at.AddDays(2)), (read.ExpiresAt, read.ApiVersion, read.Extensions, read.RevokedAt));
        Assert.Equal((9, 0, "off", """{"tokens_per_day":0}"""), (read.BatchTokens, read.BatchDelayMs, read.Rescue, read.Limits));
        Assert.Equal((at, at), (read.CreatedAt, read.UpdatedAt));
        var secret = Assert.Single(read.Secrets);
        Assert.Equal(("pub", "key_1", at, at.AddMinutes(3)), (secret.PublicId, secret.KeyId, secret.CreatedAt, secret.RetiresAt));
        Assert.Equal([1, 2, 3], secret.Hash);
    }

    /// <summary>The bytes on disk: databases of earlier versions must keep working, and other processes may be one version behind.</summary>
    [Fact]
    public async Task Insert_Key_UsesColumnFormatsOfEarlierVersions()
    {
        var storage = _temporary.Open();
        await using var connection = await storage.OpenAsync(Cancellation);
        await AddProjectAsync(connection, "org_1", "proj_1");
        var at = DateTimeOffset.FromUnixTimeMilliseconds(1_800_000_000_123);
        var row = NewKey("key_1", "proj_1");
        row.Models = ["a\"b", "é"];
        row.ExpiresAt = at;
        await KeyTable.InsertAsync(connection, row, Cancellation);

        var columns = await connection.FirstOrDefaultAsync(
            "SELECT * FROM api_keys", [],
            key => (key.Text("scopes"), key.Text("models"), key.Text("addresses"), key.Int64("expires_at"), key.Int64("extensions"), key.IsNull("batch_tokens")),
            Cancellation);
        Assert.Equal(("""["chat"]""", """["a\u0022b","\u00E9"]""", "[]", 1_800_000_000_123, 1, true), columns);
    }

    [Fact]
    public async Task List_Filters_ReturnOnlyMatchingKeysWithAllTheirSecrets()
    {
        await using var connection = await _temporary.Open().OpenAsync(Cancellation);
        await AddProjectAsync(connection, "org_1", "proj_1");
        await AddProjectAsync(connection, "org_2", "proj_2");
        foreach (var (id, project) in ((string, string)[])[("key_1", "proj_1"), ("key_2", "proj_2"), ("key_3", "proj_1"), ("key_4", "proj_1")])
            await KeyTable.InsertAsync(connection, NewKey(id, project, id + "a", id + "b"), Cancellation);

        Assert.Equal(["key_1", "key_2"], await IdsAsync("", null, null, 2));
        Assert.Equal(["key_3", "key_4"], await IdsAsync("key_2", null, null, null));
        Assert.Equal(["key_1", "key_3"], await IdsAsync("", "proj_1", null, 2));
        Assert.Equal(["key_2"], await IdsAsync("", null, "org_2", null));
        Assert.Empty(await IdsAsync("", "proj_1", "org_2", null));
        Assert.Null(await KeyTable.FindAsync(connection, "key_5", Cancellation));

        async Task<IEnumerable<string>> IdsAsync(string after, string? project, string? organization, int? limit)
        {
            var keys = await KeyTable.ListAsync(connection, after, project, organization, limit, Cancellation);
            Assert.All(keys, key => Assert.Equal([key.Id + "a", key.Id + "b"], key.Secrets.Select(secret => secret.PublicId).Order()));
            return keys.Select(key => key.Id);
        }
    }

    [Fact]
    public async Task Rotate_MultipleSecrets_DeletesRetiredAndShortensOthers()
    {
        await using var connection = await _temporary.Open().OpenAsync(Cancellation);
        await AddProjectAsync(connection, "org_1", "proj_1");
        var now = DateTimeOffset.FromUnixTimeMilliseconds(1_800_000_000_000);
        var key = NewKey("key_1", "proj_1", "retired", "soon", "late", "live");
        key.Secrets[0].RetiresAt = now;
        key.Secrets[1].RetiresAt = now.AddMinutes(1);
        key.Secrets[2].RetiresAt = now.AddDays(9);
        await KeyTable.InsertAsync(connection, key, Cancellation);
        await KeyTable.InsertAsync(connection, NewKey("key_2", "proj_1", "other"), Cancellation);

        var made = new ApiKeySecretRow { PublicId = "made", KeyId = "key_1", Hash = [4], CreatedAt = now };
        await KeyTable.RotateAsync(connection, made, now.AddHours(1), now, Cancellation);

        var keys = await KeyTable.ListAsync(connection, "", null, null, null, Cancellation);
        Assert.Equal(
            [("late", now.AddHours(1)), ("live", now.AddHours(1)), ("made", null), ("soon", now.AddMinutes(1))],
            keys[0].Secrets.OrderBy(secret => secret.PublicId, StringComparer.Ordinal).Select(secret => (secret.PublicId, secret.RetiresAt)));
        Assert.Equal(now, keys[0].UpdatedAt);
        Assert.Null(Assert.Single(keys[1].Secrets).RetiresAt);
    }

    [Fact]
    public async Task Delete_Key_DeletesItsSecrets()
    {
        await using var connection = await _temporary.Open().OpenAsync(Cancellation);
        await AddProjectAsync(connection, "org_1", "proj_1");
        await KeyTable.InsertAsync(connection, NewKey("key_1", "proj_1", "one", "two"), Cancellation);
        await KeyTable.DeleteAsync(connection, "key_1", Cancellation);
        Assert.Equal(0, await connection.Int64Async("SELECT COUNT(*) FROM api_key_secrets", [], Cancellation));
    }

    [Fact]
    public async Task AccessChange_NotCommitted_WritesNothing()
    {
        var storage = _temporary.Open();
        using var changes = new AccessChanges(storage, TimeProvider.System);
        await using (var change = await changes.BeginAsync(Cancellation)) await AddProjectAsync(change.Connection, "org_1", "proj_1");
        await using var connection = await storage.OpenAsync(Cancellation);
        Assert.Null(await OrganizationTable.FindAsync(connection, "org_1", Cancellation));
    }

    [Fact]
    public async Task AccessChange_WhileAnotherRuns_WaitsForItToEnd()
    {
        using var changes = new AccessChanges(_temporary.Open(), TimeProvider.System);
        var first = await changes.BeginAsync(Cancellation);
        var second = changes.BeginAsync(Cancellation);
        Assert.False(second.IsCompleted);
        await first.CommitAsync(Cancellation);
        // A second disposal must not let a third change in.
        await first.DisposeAsync();
        var running = await second;
        var third = changes.BeginAsync(Cancellation);
        Assert.False(third.IsCompleted);
        await running.DisposeAsync();
        await (await third).DisposeAsync();
    }

    [Fact]
    public async Task AccessChanges_BeginFails_AllowsNextToBegin()
    {
        using var changes = new AccessChanges(new FailingStorage(_temporary.Open(), failure: 1), TimeProvider.System);
        await Assert.ThrowsAsync<StorageException>(() => changes.BeginAsync(Cancellation));
        await using var change = await changes.BeginAsync(Cancellation);
        await AddProjectAsync(change.Connection, "org_1", "proj_1");
    }

    [Fact]
    public async Task AccessChanges_TurnTimesOut_TriesDatabaseAnyway()
    {
        var time = new FakeTimeProvider();
        using var changes = new AccessChanges(new FailingStorage(_temporary.Open(), failure: 2), time);
        var first = await changes.BeginAsync(Cancellation);
        var second = changes.BeginAsync(Cancellation);
        Assert.False(second.IsCompleted);
        time.Advance(AccessChanges.MaxWait);
        await Assert.ThrowsAsync<StorageException>(() => second);

        // The failed change held no turn, so it must not release one.
        var third = changes.BeginAsync(Cancellation);
        Assert.False(third.IsCompleted);
        await first.DisposeAsync();
        await (await third).DisposeAsync();
    }

    [Fact]
    public async Task AccessRevision_AnyChange_Increases()
    {
        var storage = _temporary.Open();
        await using var connection = await storage.OpenAsync(Cancellation);
        var organization = new OrganizationRow { Id = "org_1", Name = "a", CreatedAt = default, UpdatedAt = default };
        foreach (var change in (Func<Task>[])
        [
            () => OrganizationTable.InsertAsync(connection, organization, Cancellation),
            () => OrganizationTable.UpdateAsync(connection, organization with { Name = "b" }, Cancellation),
            () => OrganizationTable.UpdateAsync(connection, organization with { Limits = """{"burst":2}""" }, Cancellation),
            () => OrganizationTable.DeleteAsync(connection, "org_1", Cancellation),
        ])
        {
            var seen = await connection.Int64Async("SELECT revision FROM access_revision", [], Cancellation);
            await change();
            Assert.True(await connection.Int64Async("SELECT revision FROM access_revision", [], Cancellation) > seen);
        }
    }

    public void Dispose()
    {
        _temporary.Dispose();
        GC.SuppressFinalize(this);
    }

    private static async Task AddProjectAsync(DbConnection connection, string organization, string project)
    {
        await OrganizationTable.InsertAsync(connection, new OrganizationRow { Id = organization, Name = "o", CreatedAt = default, UpdatedAt = default }, Cancellation);
        var row = new ProjectRow { Id = project, OrganizationId = organization, Name = "p", CreatedAt = default, UpdatedAt = default };
        await ProjectTable.InsertAsync(connection, row, Cancellation);
    }

    private static ApiKeyRow NewKey(string id, string project, params ReadOnlySpan<string> secrets)
    {
        var row = new ApiKeyRow
        {
            Id = id, ProjectId = project, Name = "k", Scopes = ["chat"], Classes = ["standard"], DefaultClass = "standard", Addresses = [],
            ApiVersion = "2026-11-23", Extensions = true, CreatedAt = default, UpdatedAt = default,
        };
        foreach (var secret in secrets) row.Secrets.Add(new ApiKeySecretRow { PublicId = secret, KeyId = id, Hash = [1], CreatedAt = default });
        return row;
    }

    /// <param name="inner">The storage behind it.</param>
    /// <param name="failure">Which attempt to open a connection fails, from 1.</param>
    private sealed class FailingStorage(IStorage inner, int failure) : IStorage
    {
        private int _opened;

        public SqlFlavour Sql => inner.Sql;

        public IDatabaseNotifier Notifier => inner.Notifier;

        public Task EnsureReadyAsync(CancellationToken cancellationToken) => inner.EnsureReadyAsync(cancellationToken);

        public ValueTask<DbConnection> OpenAsync(CancellationToken cancellationToken)
        {
            if (++_opened != failure) return inner.OpenAsync(cancellationToken);
            throw new StorageException("closed");
        }
    }
}
