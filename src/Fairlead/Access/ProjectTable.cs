using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>SQL of the table <c>projects</c>.</summary>
internal static class ProjectTable
{
    private const string Columns = "id, organization_id, name, cache, audit_content, limits, created_at, updated_at";

    public static Task<ProjectRow?> FindAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        connection.FirstOrDefaultAsync($"SELECT {Columns} FROM projects WHERE id = @id", [("@id", id)], Read, cancellationToken);

    /// <summary>The oldest project, or null when there are none.</summary>
    public static Task<ProjectRow?> FirstAsync(DbConnection connection, CancellationToken cancellationToken) =>
        connection.FirstOrDefaultAsync($"SELECT {Columns} FROM projects ORDER BY id LIMIT 1", [], Read, cancellationToken);

    /// <summary>Up to <paramref name="limit"/> projects after the id <paramref name="after"/>, in the order of ids.</summary>
    /// <param name="connection">Reads.</param>
    /// <param name="after">The id of the last one on the page before; empty for the first page.</param>
    /// <param name="organizationId">Only of this organization; null for all.</param>
    /// <param name="limit">How many.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    public static Task<List<ProjectRow>> ListAsync(
        DbConnection connection, string after, string? organizationId, int limit, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            $"""
            SELECT {Columns} FROM projects WHERE id > @after{(organizationId is null ? "" : " AND organization_id = @organization")}
            ORDER BY id LIMIT @limit
            """,
            [("@after", after), ("@organization", organizationId), ("@limit", limit)], Read, cancellationToken);

    public static async Task<long> CountAsync(DbConnection connection, string organizationId, CancellationToken cancellationToken) =>
        await connection.Int64Async(
            "SELECT COUNT(*) FROM projects WHERE organization_id = @organization",
            [("@organization", organizationId)], cancellationToken) ?? 0;

    public static Task InsertAsync(DbConnection connection, ProjectRow row, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            $"INSERT INTO projects ({Columns}) VALUES (@id, @organization, @name, @cache, @audit_content, @limits, @created_at, @updated_at)",
            [
                ("@id", row.Id), ("@organization", row.OrganizationId), ("@name", row.Name), ("@cache", row.Cache),
                ("@audit_content", row.AuditContent),
                ("@limits", row.Limits), ("@created_at", row.CreatedAt), ("@updated_at", row.UpdatedAt),
            ],
            cancellationToken);

    /// <summary>Stores the fields that a change may set, and the time of the change.</summary>
    public static Task UpdateAsync(DbConnection connection, ProjectRow row, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            "UPDATE projects SET name = @name, cache = @cache, audit_content = @audit_content, limits = @limits, updated_at = @updated_at WHERE id = @id",
            [
                ("@name", row.Name), ("@cache", row.Cache),
                ("@audit_content", row.AuditContent), ("@limits", row.Limits), ("@updated_at", row.UpdatedAt), ("@id", row.Id),
            ],
            cancellationToken);

    public static Task DeleteAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        connection.ExecuteAsync("DELETE FROM projects WHERE id = @id", [("@id", id)], cancellationToken);

    private static ProjectRow Read(SqlRow row) => new()
    {
        Id = row.Text("id"),
        OrganizationId = row.Text("organization_id"),
        Name = row.Text("name"),
        Cache = row.TextOrNull("cache"),
        AuditContent = row.TextOrNull("audit_content"),
        Limits = row.TextOrNull("limits"),
        CreatedAt = row.Time("created_at"),
        UpdatedAt = row.Time("updated_at"),
    };
}
