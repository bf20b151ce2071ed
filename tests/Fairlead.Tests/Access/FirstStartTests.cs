using Fairlead.Access;
using Fairlead.Storage;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Access;

public sealed class SqliteFirstStartTests() : FirstStartTests(StorageProvider.Sqlite);

public sealed class PostgresFirstStartTests() : FirstStartTests(StorageProvider.Postgres);

public abstract class FirstStartTests : IDisposable
{
    private readonly AccessFixture _access;
    private readonly StorageProvider _provider;

    private protected FirstStartTests(StorageProvider provider)
    {
        _provider = provider;
        _access = new AccessFixture(provider, adminKey: null);
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Run_EmptyStore_CreatesWorkingKeys()
    {
        var keys = await Start(null).RunAsync(Cancellation);

        Assert.NotNull(keys);
        var (client, _) = _access.Authenticate(keys.ClientKey!, Scopes.Chat);
        Assert.Equal(("default", "default"), (client?.OrganizationName, client?.ProjectName));
        Assert.Null(_access.Authenticate(keys.ClientKey!, Scopes.AdminRead).Caller);
        Assert.NotNull(_access.Authenticate(keys.AdminKey!, Scopes.AdminWrite).Caller);
        Assert.DoesNotContain(keys.ClientKey!, keys.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Run_AdminKeyFromEnvironment_CreatesNoAdminKey()
    {
        var keys = await Start(AccessFixture.AdminSecret).RunAsync(Cancellation);
        Assert.NotNull(keys);
        Assert.Null(keys.AdminKey);
    }

    [Fact]
    public async Task Run_AfterConfirmation_ReturnsNull()
    {
        var start = Start(null);
        Assert.NotNull(await start.RunAsync(Cancellation));
        await start.ConfirmAsync(Cancellation);
        Assert.Null(await start.RunAsync(Cancellation));
    }

    [Fact]
    public async Task Run_KilledBeforePrinting_IssuesNewSecretsForSameKeys()
    {
        var lost = await Start(null).RunAsync(Cancellation);
        var shown = await Start(null).RunAsync(Cancellation);

        Assert.NotNull(lost);
        Assert.NotNull(shown);
        Assert.NotEqual(lost.ClientKey!, shown.ClientKey!);
        Assert.Equal(_access.Authenticate(lost.ClientKey!).Caller!.KeyId, _access.Authenticate(shown.ClientKey!).Caller!.KeyId);
        Assert.Equal(_access.Authenticate(lost.AdminKey!).Caller!.KeyId, _access.Authenticate(shown.AdminKey!).Caller!.KeyId);
        Assert.Equal(2, await CountAsync("api_keys"));
        Assert.Equal(1, await CountAsync("organizations"));
    }

    [Fact]
    public async Task Run_FailsMidway_RollsBackEverything()
    {
        await using (var connection = await _access.Storage.OpenAsync(Cancellation))
        {
            await using var command = connection.CreateCommand();
            command.CommandText = _provider == StorageProvider.Sqlite
                ? "CREATE TRIGGER fault BEFORE INSERT ON first_start BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
                : "ALTER TABLE first_start ADD CONSTRAINT fault CHECK (announced > 0)";
            await command.ExecuteNonQueryAsync(Cancellation);
        }
        await Assert.ThrowsAnyAsync<System.Data.Common.DbException>(() => Start(null).RunAsync(Cancellation));
        foreach (var table in (string[])["organizations", "projects", "api_keys", "api_key_secrets"]) Assert.Equal(0, await CountAsync(table));
    }

    [Fact]
    public async Task Run_StoreWithKeys_ReturnsNull()
    {
        await _access.AddKeyAsync();
        Assert.Null(await Start(null).RunAsync(Cancellation));
    }

    [Fact]
    public async Task Run_ConcurrentProcesses_CreatesOneOrganization()
    {
        var starts = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => Start(null, _access.OpenAgain()).RunAsync(Cancellation), Cancellation)));
        await _access.Snapshots.ReloadAsync(Cancellation);

        foreach (var keys in starts) Assert.NotNull(_access.Authenticate(keys!.ClientKey!).Caller);
        Assert.Equal(1, await CountAsync("organizations"));
        Assert.Equal(2, await CountAsync("api_keys"));
    }

    public void Dispose()
    {
        _access.Dispose();
        GC.SuppressFinalize(this);
    }

    private async Task<long?> CountAsync(string table)
    {
        await using var connection = await _access.Storage.OpenAsync(Cancellation);
        return await connection.Int64Async($"SELECT COUNT(*) FROM {table}", [], Cancellation);
    }

    private FirstStart Start(string? adminKey, IStorage? storage = null) =>
        new(storage ?? _access.Storage, storage is null ? _access.Changes : new AccessChanges(storage, TimeProvider.System), new AdminKey(adminKey), storage is null ? _access.Snapshots : AccessFixture.SnapshotsOf(storage), _access.Time, NullLogger<FirstStart>.Instance);
}
