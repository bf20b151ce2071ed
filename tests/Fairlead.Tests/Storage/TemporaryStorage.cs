using Fairlead.Configuration;
using Fairlead.Storage;

namespace Fairlead.Tests.Storage;

/// <summary>A database file of its own, gone with the test.</summary>
internal sealed class TemporaryStorage : IDisposable
{
    private readonly List<SqliteStorage> _opened = [];

    public string DataDirectory { get; } = Path.Combine(Path.GetTempPath(), "fairlead-" + Path.GetRandomFileName());

    /// <summary>What one more process on the same file would have.</summary>
    public SqliteStorage Open(params ISchemaStep[] further)
    {
        var storage = new SqliteStorage(new FixedConfiguration(DataDirectory), new SchemaMigrator([new AccessSchema(), .. further], TimeProvider.System));
        _opened.Add(storage);
        return storage;
    }

    public void Dispose()
    {
        foreach (var storage in _opened) storage.Dispose();
        if (Directory.Exists(DataDirectory)) Directory.Delete(DataDirectory, recursive: true);
    }
}

internal sealed class FixedConfiguration(string dataDirectory) : IConfigurationSource
{
    public GatewayConfiguration Current { get; } = new() { DataDirectory = dataDirectory };

    public event Action<GatewayConfiguration>? Changed
    {
        add { }
        remove { }
    }
}
