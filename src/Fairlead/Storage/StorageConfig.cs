using Fairlead.Configuration;

namespace Fairlead.Storage;

/// <summary>The database of keys, audit and usage.</summary>
internal sealed record StorageConfig
{
    internal static readonly StorageConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<StorageConfig> Keys = new(() => new StorageConfig(), [],
        new("provider", new ConfigChoice(Sqlite, Postgres), s => s.Provider,
            (s, v) => s with { Provider = (string)v },
            "`postgres` when there is a connection string, else `sqlite`: one file in `dataDirectory`."),
        new("connectionString", new ConfigPostgres(), s => s.ConnectionString, (s, v) => s with { ConnectionString = (string)v },
            "PostgreSQL 13 or later, as `postgres://user:password@host/database` or in keywords (`Host=…;Database=…;Username=…`); "
            + "best written as ${NAME}."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("storage", Keys, c => c.Storage,
        "The database of keys, audit and usage.", needsRestart: true);

    public const string Sqlite = "sqlite";

    public const string Postgres = "postgres";

    /// <summary><see cref="Sqlite"/> or <see cref="Postgres"/>; null until it is derived from the connection string.</summary>
    public string? Provider { get; init; }

    /// <summary>The connection string of PostgreSQL, with a password.</summary>
    public string? ConnectionString { get; init; }

    /// <summary>Without the password.</summary>
    public override string ToString() => $"{nameof(StorageConfig)} {{ Provider = {Provider} }}";
}

/// <summary>The section in the whole configuration.</summary>
internal static class StorageConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>The database of keys, audit and usage.</summary>
        public StorageConfig Storage => configuration.Section<StorageConfig>() ?? StorageConfig.Default;
    }
}
