using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>SQL of the tables <c>api_keys</c> and <c>api_key_secrets</c>.</summary>
internal static class KeyTable
{
    private const string Columns = """
        id, project_id, name, scopes, role, role_organization_id, models, classes, default_class, addresses, expires_at, api_version,
        extensions, batch_tokens, batch_delay_ms, rescue, cache, audit_content, limits, revoked_at, created_at, updated_at
        """;

    public static async Task<ApiKeyRow?> FindAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        await ReadAsync(connection, $"SELECT {Columns} FROM api_keys WHERE id = @id", [("@id", id)], cancellationToken) is [var key]
            ? key : null;

    /// <summary>Up to <paramref name="limit"/> keys after the id <paramref name="after"/>, in the order of ids.</summary>
    /// <param name="connection">Reads.</param>
    /// <param name="after">The id of the last one on the page before; empty for the first page.</param>
    /// <param name="projectId">Only of this project; null for all.</param>
    /// <param name="organizationId">Only of projects of this organization; null for all.</param>
    /// <param name="limit">How many; null for all.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    /// <param name="unusedSince">Only those that were not used since, nor created, nor revoked; null for all.</param>
    public static Task<List<ApiKeyRow>> ListAsync(
        DbConnection connection, string after, string? projectId, string? organizationId, int? limit, CancellationToken cancellationToken,
        DateTimeOffset? unusedSince = null)
    {
        var sql = $"SELECT {Columns} FROM api_keys WHERE id > @after";
        if (projectId is not null) sql += " AND project_id = @project";
        if (organizationId is not null) sql += " AND project_id IN (SELECT id FROM projects WHERE organization_id = @organization)";
        if (unusedSince is not null)
        {
            sql += " AND revoked_at IS NULL AND "
                + "COALESCE((SELECT u.last_used_at FROM api_key_uses u WHERE u.key_id = api_keys.id), created_at) < @unused";
        }
        sql += " ORDER BY id";
        if (limit is not null) sql += " LIMIT @limit";
        return ReadAsync(
            connection, sql, [("@after", after), ("@project", projectId), ("@organization", organizationId), ("@unused", unusedSince), ("@limit", limit)],
            cancellationToken);
    }

    public static async Task<long> CountAsync(DbConnection connection, string projectId, CancellationToken cancellationToken) =>
        await connection.Int64Async(
            "SELECT COUNT(*) FROM api_keys WHERE project_id = @project", [("@project", projectId)], cancellationToken) ?? 0;

    /// <summary>How many keys administer this organization.</summary>
    public static async Task<long> CountAdminsAsync(DbConnection connection, string organizationId, CancellationToken cancellationToken) =>
        await connection.Int64Async(
            "SELECT COUNT(*) FROM api_keys WHERE role_organization_id = @organization",
            [("@organization", organizationId)], cancellationToken) ?? 0;

    /// <summary>Adds a key with its secrets.</summary>
    public static async Task InsertAsync(DbConnection connection, ApiKeyRow row, CancellationToken cancellationToken)
    {
        await connection.ExecuteAsync(
            $"""
            INSERT INTO api_keys ({Columns})
            VALUES (@id, @project, @name, @scopes, @role, @role_organization, @models, @classes, @default_class, @addresses, @expires_at,
                @api_version, @extensions, @batch_tokens, @batch_delay_ms, @rescue, @cache, @audit_content, @limits, @revoked_at, @created_at, @updated_at)
            """,
            [.. Fields(row), ("@project", row.ProjectId), ("@revoked_at", row.RevokedAt), ("@created_at", row.CreatedAt)],
            cancellationToken);
        foreach (var secret in row.Secrets) await InsertSecretAsync(connection, secret, cancellationToken);
    }

    /// <summary>Stores the fields that a change may set, and the time of the change.</summary>
    public static Task UpdateAsync(DbConnection connection, ApiKeyRow row, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            """
            UPDATE api_keys SET name = @name, scopes = @scopes, role = @role, role_organization_id = @role_organization, models = @models,
                classes = @classes, default_class = @default_class,
                addresses = @addresses, expires_at = @expires_at, api_version = @api_version, extensions = @extensions,
                batch_tokens = @batch_tokens, batch_delay_ms = @batch_delay_ms, rescue = @rescue, cache = @cache, audit_content = @audit_content,
                limits = @limits,
                updated_at = @updated_at
            WHERE id = @id
            """,
            Fields(row), cancellationToken);

    public static Task RevokeAsync(DbConnection connection, string id, DateTimeOffset now, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            "UPDATE api_keys SET revoked_at = @now, updated_at = @now WHERE id = @id", [("@now", now), ("@id", id)], cancellationToken);

    /// <summary>Deletes a key and, by the foreign key, its secrets.</summary>
    public static Task DeleteAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        connection.ExecuteAsync("DELETE FROM api_keys WHERE id = @id", [("@id", id)], cancellationToken);

    /// <summary>
    /// Adds a secret, lets the others retire at <paramref name="end"/> at the latest, and deletes those that have retired.
    /// </summary>
    public static async Task RotateAsync(
        DbConnection connection, ApiKeySecretRow added, DateTimeOffset end, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await connection.ExecuteAsync(
            "DELETE FROM api_key_secrets WHERE key_id = @key AND retires_at <= @now",
            [("@key", added.KeyId), ("@now", now)], cancellationToken);
        await connection.ExecuteAsync(
            "UPDATE api_key_secrets SET retires_at = @end WHERE key_id = @key AND (retires_at IS NULL OR retires_at > @end)",
            [("@end", end), ("@key", added.KeyId)], cancellationToken);
        await InsertSecretAsync(connection, added, cancellationToken);
        await connection.ExecuteAsync(
            "UPDATE api_keys SET updated_at = @now WHERE id = @key", [("@now", now), ("@key", added.KeyId)], cancellationToken);
    }

    public static Task InsertSecretAsync(DbConnection connection, ApiKeySecretRow row, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            """
            INSERT INTO api_key_secrets (public_id, key_id, hash, created_at, retires_at)
            VALUES (@public_id, @key, @hash, @created_at, @retires_at)
            """,
            [
                ("@public_id", row.PublicId), ("@key", row.KeyId), ("@hash", row.Hash),
                ("@created_at", row.CreatedAt), ("@retires_at", row.RetiresAt),
            ],
            cancellationToken);

    // One statement for keys and secrets: what it returns is one consistent state.
    private static async Task<List<ApiKeyRow>> ReadAsync(
        DbConnection connection, string keys, (string Name, SqlValue Value)[] values, CancellationToken cancellationToken)
    {
        var rows = await connection.QueryAsync(
            $"""
            SELECT k.*, s.public_id, s.hash, s.created_at AS secret_created_at, s.retires_at, u.last_used_at
            FROM ({keys}) k LEFT JOIN api_key_secrets s ON s.key_id = k.id LEFT JOIN api_key_uses u ON u.key_id = k.id ORDER BY k.id
            """,
            values, row => (Key: ReadKey(row), Secret: row.IsNull("public_id") ? null : ReadSecret(row)), cancellationToken);
        var read = new List<ApiKeyRow>();
        foreach (var (key, secret) in rows)
        {
            if (read.Count == 0 || read[^1].Id != key.Id) read.Add(key);
            if (secret is not null) read[^1].Secrets.Add(secret);
        }
        return read;
    }

    private static ApiKeyRow ReadKey(SqlRow row) => new()
    {
        Id = row.Text("id"),
        ProjectId = row.Text("project_id"),
        Name = row.Text("name"),
        Scopes = StringList.Read(row.Text("scopes")),
        Role = row.TextOrNull("role"),
        RoleOrganizationId = row.TextOrNull("role_organization_id"),
        Models = row.TextOrNull("models") is { } models ? StringList.Read(models) : null,
        Classes = StringList.Read(row.Text("classes")),
        DefaultClass = row.Text("default_class"),
        Addresses = StringList.Read(row.Text("addresses")),
        ExpiresAt = row.TimeOrNull("expires_at"),
        ApiVersion = row.Text("api_version"),
        Extensions = row.Bool("extensions"),
        BatchTokens = row.Int32OrNull("batch_tokens"),
        BatchDelayMs = row.Int32OrNull("batch_delay_ms"),
        Rescue = row.TextOrNull("rescue"),
        Cache = row.TextOrNull("cache"),
        AuditContent = row.TextOrNull("audit_content"),
        LastUsedAt = row.TimeOrNull("last_used_at"),
        Limits = row.TextOrNull("limits"),
        RevokedAt = row.TimeOrNull("revoked_at"),
        CreatedAt = row.Time("created_at"),
        UpdatedAt = row.Time("updated_at"),
    };

    private static ApiKeySecretRow ReadSecret(SqlRow row) => new()
    {
        PublicId = row.Text("public_id"),
        KeyId = row.Text("id"),
        Hash = row.Bytes("hash"),
        CreatedAt = row.Time("secret_created_at"),
        RetiresAt = row.TimeOrNull("retires_at"),
    };

    private static (string Name, SqlValue Value)[] Fields(ApiKeyRow row) =>
    [
        ("@id", row.Id), ("@name", row.Name), ("@scopes", StringList.Write(row.Scopes)), ("@role", row.Role),
        ("@role_organization", row.RoleOrganizationId),
        ("@models", row.Models is { } models ? StringList.Write(models) : null), ("@classes", StringList.Write(row.Classes)),
        ("@default_class", row.DefaultClass), ("@addresses", StringList.Write(row.Addresses)), ("@expires_at", row.ExpiresAt),
        ("@api_version", row.ApiVersion), ("@extensions", row.Extensions), ("@batch_tokens", row.BatchTokens),
        ("@batch_delay_ms", row.BatchDelayMs), ("@rescue", row.Rescue), ("@cache", row.Cache),
        ("@audit_content", row.AuditContent), ("@limits", row.Limits), ("@updated_at", row.UpdatedAt),
    ];
}
