using System.Data.Common;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Fairlead.Storage;

/// <summary>The embedded database: <c>fairlead.db</c> in the data directory, readable by its owner only.</summary>
internal sealed class SqliteStorage : IStorage, IDisposable
{
    /// <summary>How long a writer waits for another one: longer than any of our transactions, shorter than a client waits.</summary>
    private const int BusyTimeoutSeconds = 5;

    private readonly SchemaMigrator _migrator;
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly string _directory;
    private volatile bool _ready;

    public SqliteStorage(IConfigurationSource configuration, SchemaMigrator migrator, TimeProvider time)
    {
        _migrator = migrator;
        Sql = SqlFlavour.Sqlite(time);
        // Read once: a reload of the configuration does not change the database of a running server.
        _directory = Path.GetFullPath(configuration.Current.DataDirectory);
        ConnectionString = new SqliteConnectionStringBuilder
        {
            DataSource = Path.Combine(_directory, "fairlead.db"),
            Mode = SqliteOpenMode.ReadWrite,
            ForeignKeys = true,
            DefaultTimeout = BusyTimeoutSeconds,
            Pooling = true,
        }.ConnectionString;
    }

    public SqlFlavour Sql { get; }

    public IDatabaseNotifier Notifier { get; } = new LocalNotifier();

    public string ConnectionString { get; }

    public async Task EnsureReadyAsync(CancellationToken cancellationToken)
    {
        if (_ready) return;
        await _gate.WaitAsync(cancellationToken);
        try
        {
            if (_ready) return;
            CreatePrivateFile();
            await using var connection = await OpenCoreAsync(cancellationToken);
            // WAL: readers and the writer do not wait for each other. Large pages, because nearly all writes go to the ends of tables and
            // indexes: a quarter of the writes, and long records share pages. Both are stored in the file; an older file keeps its pages.
            await connection.ExecuteAsync("PRAGMA page_size = 16384; PRAGMA journal_mode = WAL", [], cancellationToken);
            await _migrator.MigrateAsync(connection, Sql, cancellationToken);
            _ready = true;
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or NotSupportedException or SqliteException)
        {
            throw new StorageException(
                $"The database in '{_directory}' cannot be used: {fault.Message.TrimEnd('.')}. "
                + "Check that the folder exists or can be created, is writable and has free space, or set another one with "
                + "FAIRLEAD_DATA or dataDirectory.",
                fault);
        }
        finally
        {
            _gate.Release();
        }
    }

    public async ValueTask<DbConnection> OpenAsync(CancellationToken cancellationToken)
    {
        if (!_ready) await EnsureReadyAsync(cancellationToken);
        return await OpenCoreAsync(cancellationToken);
    }

    public void Dispose()
    {
        // Pooled connections keep the file open; a program that embeds several hosts needs it closed.
        using (var connection = new SqliteConnection(ConnectionString)) SqliteConnection.ClearPool(connection);
        _gate.Dispose();
    }

    private async ValueTask<SqliteConnection> OpenCoreAsync(CancellationToken cancellationToken)
    {
        var connection = new SqliteConnection(ConnectionString);
        try
        {
            await connection.OpenAsync(cancellationToken);
            // SQLite's own wait retries after one millisecond, then less often; the provider's, after that, every 150 ms.
            raw.sqlite3_busy_timeout(connection.Handle, BusyTimeoutSeconds * 1000);
            // Deleted rows are overwritten where their pages are written anyway. What stays in pages that become free, an erasure overwrites.
            raw.sqlite3_exec(connection.Handle, "PRAGMA secure_delete = FAST");
            return connection;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    // Hashes of keys and records of calls are private. SQLite gives its side files the mode of the database.
    private void CreatePrivateFile()
    {
        var path = Path.Combine(_directory, "fairlead.db");
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(_directory);
            using var file = File.Open(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite);
            return;
        }
        Directory.CreateDirectory(_directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        if (File.Exists(path)) return;
        using var created = File.Open(path, new FileStreamOptions
        {
            Mode = FileMode.OpenOrCreate,
            Access = FileAccess.ReadWrite,
            Share = FileShare.ReadWrite,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
    }
}
