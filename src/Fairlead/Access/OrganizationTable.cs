using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>SQL of the table <c>organizations</c>.</summary>
internal static class OrganizationTable
{
    private const string Columns = "id, name, weight_millionths, share_across_organizations, audit_content, audit_retention_days, "
        + "audit_content_retention_days, limits, created_at, updated_at";

    public static Task<OrganizationRow?> FindAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        connection.FirstOrDefaultAsync($"SELECT {Columns} FROM organizations WHERE id = @id", [("@id", id)], Read, cancellationToken);

    /// <summary>Up to <paramref name="limit"/> organizations after the id <paramref name="after"/>, in the order of ids.</summary>
    /// <param name="connection">Reads.</param>
    /// <param name="after">The id of the last one on the page before; empty for the first page.</param>
    /// <param name="only">The only one; null for all.</param>
    /// <param name="limit">How many.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    public static Task<List<OrganizationRow>> ListAsync(
        DbConnection connection, string after, string? only, int limit, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            $"SELECT {Columns} FROM organizations WHERE id > @after{(only is null ? "" : " AND id = @only")} ORDER BY id LIMIT @limit",
            [("@after", after), ("@only", only), ("@limit", limit)], Read, cancellationToken);

    public static Task InsertAsync(DbConnection connection, OrganizationRow row, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            $"""
            INSERT INTO organizations ({Columns})
            VALUES (@id, @name, @weight, @share, @audit_content, @records, @contents, @limits, @created_at, @updated_at)
            """,
            [
                ("@id", row.Id), ("@name", row.Name), ("@weight", LimitNumber.Weight.ToUnits(row.Weight)),
                ("@share", row.SharesAcrossOrganizations), ("@audit_content", row.AuditContent), ("@limits", row.Limits),
                ("@records", (long?)row.AuditRetentionDays), ("@contents", (long?)row.AuditContentRetentionDays),
                ("@created_at", row.CreatedAt), ("@updated_at", row.UpdatedAt),
            ],
            cancellationToken);

    /// <summary>Stores the fields that a change may set, and the time of the change.</summary>
    public static Task UpdateAsync(DbConnection connection, OrganizationRow row, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            """
            UPDATE organizations SET name = @name, weight_millionths = @weight, share_across_organizations = @share,
                audit_content = @audit_content, audit_retention_days = @records, audit_content_retention_days = @contents, limits = @limits,
                updated_at = @updated_at
            WHERE id = @id
            """,
            [
                ("@name", row.Name), ("@weight", LimitNumber.Weight.ToUnits(row.Weight)),
                ("@share", row.SharesAcrossOrganizations), ("@audit_content", row.AuditContent), ("@limits", row.Limits),
                ("@records", (long?)row.AuditRetentionDays), ("@contents", (long?)row.AuditContentRetentionDays),
                ("@updated_at", row.UpdatedAt), ("@id", row.Id),
            ],
            cancellationToken);

    public static Task DeleteAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        connection.ExecuteAsync("DELETE FROM organizations WHERE id = @id", [("@id", id)], cancellationToken);

    private static OrganizationRow Read(SqlRow row) => new()
    {
        Id = row.Text("id"),
        Name = row.Text("name"),
        Weight = LimitNumber.Weight.ToDecimal(row.Int64("weight_millionths")),
        SharesAcrossOrganizations = row.Bool("share_across_organizations"),
        AuditContent = row.TextOrNull("audit_content"),
        AuditRetentionDays = (int?)row.Int64OrNull("audit_retention_days"),
        AuditContentRetentionDays = (int?)row.Int64OrNull("audit_content_retention_days"),
        Limits = row.TextOrNull("limits"),
        CreatedAt = row.Time("created_at"),
        UpdatedAt = row.Time("updated_at"),
    };
}
