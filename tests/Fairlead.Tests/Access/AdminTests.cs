using Fairlead.Storage;
using Fairlead.Tests.Storage;

namespace Fairlead.Tests.Access;

/// <summary>A host with a separate store for every test.</summary>
public abstract class AdminTests : IAsyncLifetime
{
    private readonly TemporaryStorage _temporary;

    private protected AdminTests(StorageProvider provider) => _temporary = new TemporaryStorage(provider);

    private protected AdminHost Host { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Host = await AdminHost.StartAsync(_temporary.Configuration);

    public async ValueTask DisposeAsync()
    {
        await Host.DisposeAsync();
        _temporary.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>All of the files of SQLite, all rows of PostgreSQL.</summary>
    private protected async Task<string> EverythingStoredAsync()
    {
        var text = new System.Text.StringBuilder();
        if (_temporary.ConnectionString is not null)
        {
            await using var connection = await _temporary.Open().OpenAsync(TestContext.Current.CancellationToken);
            await using var command = connection.CreateCommand();
            // Bytes as the characters they would be.
            command.CommandText = "SELECT schema_to_xml('public', true, false, '')::text || coalesce((SELECT string_agg(encode(hash, 'escape'), ' ') FROM api_key_secrets), '')";
            return (string)(await command.ExecuteScalarAsync(TestContext.Current.CancellationToken))!;
        }
        // The file that is only locked has nothing in it, and cannot be opened.
        foreach (var file in Directory.GetFiles(_temporary.DataDirectory).Where(file => !file.EndsWith(".held", StringComparison.Ordinal)))
        {
            await using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            using var reader = new StreamReader(stream, System.Text.Encoding.Latin1);
            text.Append(await reader.ReadToEndAsync(TestContext.Current.CancellationToken));
        }
        return text.ToString();
    }

    /// <summary>One more process on the same store.</summary>
    private protected Task<AdminHost> StartHostAsync() => AdminHost.StartAsync(_temporary.Configuration, holdsFolder: false);
}
