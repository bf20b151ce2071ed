using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Providers;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Storage;

/// <summary>A separate database, deleted when the test ends.</summary>
internal sealed class TemporaryStorage : IDisposable
{
    /// <summary>Steps that every database here has.</summary>
    public const long OwnSteps = 12;

    private readonly List<IStorage> _opened = [];

    public TemporaryStorage(StorageProvider provider = StorageProvider.Sqlite)
    {
        if (provider == StorageProvider.Postgres) ConnectionString = TestPostgres.CreateDatabase();
        Configuration = new FixedConfiguration(DataDirectory, ConnectionString);
    }

    /// <summary>A database of PostgreSQL that is reached by another way.</summary>
    public TemporaryStorage(Func<string, string> way)
    {
        ConnectionString = TestPostgres.CreateDatabase();
        Configuration = new FixedConfiguration(DataDirectory, way(ConnectionString));
    }

    public string DataDirectory { get; } = Path.Combine(Path.GetTempPath(), "fairlead-" + Path.GetRandomFileName());

    /// <summary>Of PostgreSQL; null for SQLite.</summary>
    public string? ConnectionString { get; }

    public FixedConfiguration Configuration { get; }

    /// <summary>What one more process on the same database would have.</summary>
    public IStorage Open(params ISchemaStep[] further)
    {
        var migrator = new SchemaMigrator([new AccessSchema(), new KeyBatchingSchema(), new LimitsSchema(), new OrganizationSharingSchema(), new KeyRescueSchema(), new CacheModeSchema(), new KeyRoleSchema(), new AuditContentSchema(), new KeyUseSchema(), new KeyNoticeSchema(), new OrganizationRetentionSchema(), new DeletedOrganizationSchema(), .. further], TimeProvider.System);
        IStorage storage = ConnectionString is null ? new SqliteStorage(Configuration, migrator, TimeProvider.System) : new PostgresStorage(Configuration, migrator, TimeProvider.System, NullLogger<PostgresStorage>.Instance);
        _opened.Add(storage);
        return storage;
    }

    public void Dispose()
    {
        foreach (var storage in _opened) ((IDisposable)storage).Dispose();
        if (ConnectionString is not null) TestPostgres.DropDatabase(ConnectionString);
        if (Directory.Exists(DataDirectory)) Directory.Delete(DataDirectory, recursive: true);
    }
}

internal sealed class FixedConfiguration(string dataDirectory, string? postgres = null) : IConfigurationSource
{
    public GatewayConfiguration Current { get; } = new GatewayConfiguration { DataDirectory = dataDirectory }.With(new StorageConfig { Provider = postgres is null ? StorageConfig.Sqlite : StorageConfig.Postgres, ConnectionString = postgres });

    public event Action<GatewayConfiguration>? Changed
    {
        add { }
        remove { }
    }
}
