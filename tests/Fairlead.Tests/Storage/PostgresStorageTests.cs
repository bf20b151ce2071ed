using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Fairlead.Tests.Storage;

public sealed class PostgresStorageTests : IDisposable
{
    private readonly TemporaryStorage _temporary = new(StorageProvider.Postgres);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task EnsureReady_WrongPassword_ThrowsWithoutLeakingPassword()
    {
        var fault = await RefusedAsync(keywords => keywords.Password = "wrong horse");
        Assert.Contains("refused the user or the password", fault.Message, StringComparison.Ordinal);
        Assert.False(fault.IsTransient);
    }

    [Fact]
    public async Task EnsureReady_MissingDatabase_ExplainsHowToCreateIt()
    {
        var fault = await RefusedAsync(keywords => keywords.Database = "nowhere");
        Assert.Contains("'nowhere'", fault.Message, StringComparison.Ordinal);
        Assert.Contains("CREATE DATABASE", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task EnsureReady_NoServerListening_ThrowsTransientError()
    {
        var fault = await RefusedAsync(keywords => keywords.Port = 1);
        Assert.Contains("127.0.0.1:1", fault.Message, StringComparison.Ordinal);
        Assert.True(fault.IsTransient);
    }

    [Fact]
    public async Task EnsureReady_WrongDatabaseEncoding_IsRefused()
    {
        TestPostgres.Execute(_temporary.ConnectionString!, "CREATE DATABASE test_latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
        try
        {
            var fault = await RefusedAsync(keywords => keywords.Database = "test_latin");
            Assert.Contains("LATIN1", fault.Message, StringComparison.Ordinal);
        }
        finally
        {
            TestPostgres.Execute(_temporary.ConnectionString!, "DROP DATABASE test_latin WITH (FORCE)");
        }
    }

    [Fact]
    public async Task EnsureReady_UserLacksPermissions_NamesMissingPermission()
    {
        TestPostgres.Execute(_temporary.ConnectionString!, "REVOKE ALL ON SCHEMA public FROM PUBLIC; DROP ROLE IF EXISTS test_visitor; CREATE ROLE test_visitor LOGIN PASSWORD 'guest'");
        try
        {
            var fault = await RefusedAsync(keywords => (keywords.Username, keywords.Password) = ("test_visitor", "guest"));
            Assert.Contains("may not create tables", fault.Message, StringComparison.Ordinal);
        }
        finally
        {
            TestPostgres.Execute(_temporary.ConnectionString!, "DROP ROLE test_visitor");
        }
    }

    [Fact]
    public async Task Open_ConnectionsTerminatedByServer_Recovers()
    {
        var storage = _temporary.Open();
        await using (await storage.OpenAsync(Cancellation))
        {
        }
        TestPostgres.Execute(_temporary.ConnectionString!, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
        var broken = 0;
        while (true)
        {
            try
            {
                await using var connection = await storage.OpenAsync(Cancellation);
                await using var command = connection.CreateCommand();
                command.CommandText = "SELECT revision FROM access_revision";
                Assert.NotNull(await command.ExecuteScalarAsync(Cancellation));
                break;
            }
            catch (NpgsqlException fault)
            {
                Assert.True(StorageErrors.IsUnavailable(fault), fault.ToString());
                Assert.True(++broken < 10);
            }
        }
    }

    private async Task<StorageException> RefusedAsync(Action<NpgsqlConnectionStringBuilder> change)
    {
        var keywords = new NpgsqlConnectionStringBuilder(_temporary.ConnectionString);
        change(keywords);
        await using var storage = new PostgresStorage(new FixedConfiguration("unused", keywords.ConnectionString), new SchemaMigrator([new AccessSchema(), new KeyBatchingSchema(), new LimitsSchema(), new OrganizationSharingSchema(), new KeyRescueSchema(), new CacheModeSchema(), new KeyRoleSchema(), new AuditContentSchema(), new KeyUseSchema(), new KeyNoticeSchema(), new OrganizationRetentionSchema(), new DeletedOrganizationSchema()], TimeProvider.System), TimeProvider.System, NullLogger<PostgresStorage>.Instance);
        var fault = await Assert.ThrowsAsync<StorageException>(() => storage.EnsureReadyAsync(Cancellation));
        Assert.DoesNotContain(keywords.Password!, fault.ToString(), StringComparison.Ordinal);
        return fault;
    }

    public void Dispose() => _temporary.Dispose();
}
