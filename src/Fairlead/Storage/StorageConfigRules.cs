using Fairlead.Configuration;

namespace Fairlead.Storage;

/// <summary>Chooses the database, and checks its keys.</summary>
internal sealed class StorageConfigRules : ConfigRules
{
    private const string ConnectionString = "fairlead.storage.connectionString";

    public override IEnumerable<ConfigurationError> Check(GatewayConfiguration configuration)
    {
        switch (configuration.Storage)
        {
            case { Provider: StorageConfig.Postgres, ConnectionString: null }:
                yield return new(ConnectionString, null, "The key is required for PostgreSQL.",
                    "Add 'connectionString', such as postgres://user:password@host/database.");
                break;
            case { Provider: StorageConfig.Sqlite, ConnectionString: not null }:
                yield return new(ConnectionString, "(hidden)", "SQLite has no connection string.",
                    "Remove it, or the provider; SQLite's file is in dataDirectory.");
                break;
        }
    }

    public override GatewayConfiguration Complete(GatewayConfiguration configuration)
    {
        var storage = configuration.Storage;
        var provider = storage.Provider ?? (storage.ConnectionString is null ? StorageConfig.Sqlite : StorageConfig.Postgres);
        return configuration.With(storage with { Provider = provider });
    }
}
