using System.Data.Common;
using Fairlead.Configuration;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Fairlead.Storage;

/// <summary>A PostgreSQL database that one or more nodes share.</summary>
internal sealed class PostgresStorage : IStorage, IAsyncDisposable, IDisposable
{
    /// <summary>The oldest release with security fixes when this was written.</summary>
    private static readonly Version MinVersion = new(13, 0);

    private readonly SchemaMigrator _migrator;
    private readonly ILogger _logger;
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly NpgsqlDataSource _source;
    private readonly PostgresNotifier _notifier;
    private readonly string _where;
    private volatile bool _ready;

    public PostgresStorage(IConfigurationSource configuration, SchemaMigrator migrator, TimeProvider time, ILogger<PostgresStorage> logger)
    {
        _migrator = migrator;
        _logger = logger;
        // Read once: a reload of the configuration does not change the database of a running server.
        var keywords = PostgresConnectionString.Parse(configuration.Current.Storage.ConnectionString ?? "")
            ?? throw new StorageException(
                "storage.connectionString is not a connection string of PostgreSQL. Write postgres://user:password@host/database.");
        _where = $"'{keywords.Database ?? keywords.Username}' on {keywords.Host}:{keywords.Port}";
        _source = new NpgsqlDataSourceBuilder(keywords.ConnectionString).Build();
        _notifier = new PostgresNotifier(_source, keywords.ConnectionString, time, logger);
    }

    public SqlFlavour Sql => SqlFlavour.Postgres;

    public IDatabaseNotifier Notifier => _notifier;

    public async Task EnsureReadyAsync(CancellationToken cancellationToken)
    {
        if (_ready) return;
        await _gate.WaitAsync(cancellationToken);
        try
        {
            if (_ready) return;
            await using var connection = await _source.OpenConnectionAsync(cancellationToken);
            await CheckServerAsync(connection, cancellationToken);
            var steps = await _migrator.MigrateAsync(connection, Sql, cancellationToken);
            if (steps > 0) _logger.SchemaApplied(steps);
            _ready = true;
        }
        catch (NpgsqlException fault)
        {
            // Not as the inner exception: the driver's text may contain what a log should not.
            throw Explain(fault);
        }
        finally
        {
            _gate.Release();
        }
    }

    public async ValueTask<DbConnection> OpenAsync(CancellationToken cancellationToken)
    {
        if (!_ready) await EnsureReadyAsync(cancellationToken);
        return await _source.OpenConnectionAsync(cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await _notifier.DisposeAsync();
        await _source.DisposeAsync();
        _gate.Dispose();
    }

    /// <remarks>For containers that are disposed synchronously; the notifier's loops end by themselves.</remarks>
    public void Dispose()
    {
        _ = _notifier.DisposeAsync().AsTask();
        _source.Dispose();
        _gate.Dispose();
    }

    private async Task CheckServerAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        if (connection.PostgreSqlVersion < MinVersion)
        {
            throw new StorageException(
                $"The database {_where} is PostgreSQL {connection.PostgreSqlVersion}; Fairlead needs {MinVersion.Major} or later.");
        }
        var encoding = await connection.TextAsync("SELECT current_setting('server_encoding')", [], cancellationToken);
        if (encoding == "UTF8") return;
        throw new StorageException(
            $"The database {_where} has the encoding {encoding}; create one with UTF8: "
            + "CREATE DATABASE fairlead ENCODING 'UTF8' TEMPLATE template0;");
    }

    private StorageException Explain(NpgsqlException fault) => fault switch
    {
        PostgresException { SqlState: PostgresErrorCodes.InvalidCatalogName } => new StorageException(
            $"The database {_where} does not exist. Create it: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0;"),
        PostgresException { SqlState: PostgresErrorCodes.InvalidPassword or PostgresErrorCodes.InvalidAuthorizationSpecification } =>
            new StorageException(
                $"The database {_where} refused the user or the password of storage.connectionString. "
                + "Correct it there, or in the server's pg_hba.conf."),
        PostgresException { SqlState: PostgresErrorCodes.InsufficientPrivilege or PostgresErrorCodes.InvalidSchemaName } =>
            new StorageException(
                $"The user of storage.connectionString may not create tables in the database {_where}. "
                + "Make it the owner of the database, or of a schema in its search_path."),
        _ when StorageErrors.IsUnavailable(fault) => new StorageException(
            $"The database {_where} is unavailable: {StorageErrors.Describe(fault)}. "
            + "Check that the server runs and is reachable from here, and that storage.connectionString is correct.")
        {
            IsTransient = true,
        },
        _ => new StorageException(
            $"The schema of the database {_where} could not be updated: {StorageErrors.Describe(fault)}. "
            + "See the server's log; nothing was changed."),
    };
}
