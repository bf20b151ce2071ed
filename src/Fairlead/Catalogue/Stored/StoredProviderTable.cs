using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Catalogue.Stored;

/// <summary>SQL of stored providers, their keys and the key ring.</summary>
internal static class StoredProviderTable
{
    private const string Columns = "name, kind, base_url, models, enabled, created_at, updated_at";
    private const string KeyColumns = "id, provider, name, secret, enabled, created_at, updated_at";

    public static async Task<long> RevisionAsync(DbConnection connection, CancellationToken cancellationToken) =>
        await connection.Int64Async("SELECT revision FROM stored_provider_revision", [], cancellationToken) ?? 0;

    /// <summary>Counts a change. In the transaction of the change.</summary>
    public static Task CountAsync(DbConnection connection, CancellationToken cancellationToken) =>
        connection.ExecuteAsync("UPDATE stored_provider_revision SET revision = revision + 1", [], cancellationToken);

    public static Task<List<StoredProviderRow>> ListAsync(DbConnection connection, CancellationToken cancellationToken) =>
        connection.QueryAsync($"SELECT {Columns} FROM stored_providers ORDER BY name", [], Read, cancellationToken);

    public static Task<StoredProviderRow?> FindAsync(DbConnection connection, string name, CancellationToken cancellationToken) =>
        connection.FirstOrDefaultAsync(
            $"SELECT {Columns} FROM stored_providers WHERE name = @name", [("@name", name)], Read, cancellationToken);

    /// <summary>Adds it, or stores what a change may set.</summary>
    public static Task SaveAsync(DbConnection connection, StoredProviderRow row, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            $"""
            INSERT INTO stored_providers ({Columns}) VALUES (@name, @kind, @base_url, @models, @enabled, @created_at, @updated_at)
            ON CONFLICT (name) DO UPDATE SET base_url = excluded.base_url, models = excluded.models, enabled = excluded.enabled,
                updated_at = excluded.updated_at
            """,
            [
                ("@name", row.Name), ("@kind", row.Kind), ("@base_url", row.BaseUrl), ("@models", StringList.Write(row.Models)),
                ("@enabled", row.Enabled), ("@created_at", row.CreatedAt), ("@updated_at", row.UpdatedAt),
            ],
            cancellationToken);

    /// <summary>Deletes a provider and, by the foreign key, its keys.</summary>
    public static Task DeleteAsync(DbConnection connection, string name, CancellationToken cancellationToken) =>
        connection.ExecuteAsync("DELETE FROM stored_providers WHERE name = @name", [("@name", name)], cancellationToken);

    /// <summary>The keys of a provider in the order of ids; null for those of all.</summary>
    public static Task<List<StoredProviderKeyRow>> KeysAsync(
        DbConnection connection, string? provider, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            $"SELECT {KeyColumns} FROM stored_provider_keys{(provider is null ? "" : " WHERE provider = @provider")} ORDER BY id",
            [("@provider", provider)], ReadKey, cancellationToken);

    /// <summary>Adds it, or stores what a change may set.</summary>
    public static Task SaveAsync(DbConnection connection, StoredProviderKeyRow row, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            $"""
            INSERT INTO stored_provider_keys ({KeyColumns}) VALUES (@id, @provider, @name, @secret, @enabled, @created_at, @updated_at)
            ON CONFLICT (id) DO UPDATE SET name = excluded.name, secret = excluded.secret, enabled = excluded.enabled,
                updated_at = excluded.updated_at
            """,
            [
                ("@id", row.Id), ("@provider", row.Provider), ("@name", row.Name), ("@secret", row.Secret), ("@enabled", row.Enabled),
                ("@created_at", row.CreatedAt), ("@updated_at", row.UpdatedAt),
            ],
            cancellationToken);

    public static Task DeleteKeyAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        connection.ExecuteAsync("DELETE FROM stored_provider_keys WHERE id = @id", [("@id", id)], cancellationToken);

    public static Task<List<string>> RingAsync(DbConnection connection, CancellationToken cancellationToken) =>
        connection.QueryAsync("SELECT xml FROM key_ring ORDER BY name", [], row => row.Text("xml"), cancellationToken);

    public static async Task AddToRingAsync(
        DbConnection connection, IReadOnlyList<(string Name, string Xml)> added, CancellationToken cancellationToken)
    {
        foreach (var (name, xml) in added)
        {
            await connection.ExecuteAsync(
                "INSERT INTO key_ring (name, xml) VALUES (@name, @xml)", [("@name", name), ("@xml", xml)], cancellationToken);
        }
    }

    private static StoredProviderRow Read(SqlRow row) => new()
    {
        Name = row.Text("name"),
        Kind = row.Text("kind"),
        BaseUrl = row.TextOrNull("base_url"),
        Models = StringList.Read(row.Text("models")),
        Enabled = row.Bool("enabled"),
        CreatedAt = row.Time("created_at"),
        UpdatedAt = row.Time("updated_at"),
    };

    private static StoredProviderKeyRow ReadKey(SqlRow row) => new()
    {
        Id = row.Text("id"),
        Provider = row.Text("provider"),
        Name = row.Text("name"),
        Secret = row.Bytes("secret"),
        Enabled = row.Bool("enabled"),
        CreatedAt = row.Time("created_at"),
        UpdatedAt = row.Time("updated_at"),
    };
}
