using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>The times that an organization has of its own.</summary>
/// <param name="OrganizationId">The organization.</param>
/// <param name="Records">How long audit records are stored; null for the time of the configuration.</param>
/// <param name="Content">How long their content is stored; null for the time of the configuration.</param>
internal sealed record OrganizationRetention(string OrganizationId, TimeSpan? Records, TimeSpan? Content)
{
    /// <summary>Those of all organizations that have some, also of deleted ones.</summary>
    public static Task<List<OrganizationRetention>> AllAsync(DbConnection connection, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            """
            SELECT id, audit_retention_days, audit_content_retention_days FROM organizations
            WHERE audit_retention_days IS NOT NULL OR audit_content_retention_days IS NOT NULL
            UNION ALL
            SELECT id, audit_retention_days, audit_content_retention_days FROM deleted_organizations
            """,
            [],
            row => new OrganizationRetention(
                row.Text("id"), Days(row.Int64OrNull("audit_retention_days")), Days(row.Int64OrNull("audit_content_retention_days"))),
            cancellationToken);

    /// <summary>Keeps those of an organization that is deleted in the same transaction; nothing if it has none.</summary>
    public static Task KeepAsync(DbConnection connection, string organizationId, DateTimeOffset now, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            """
            INSERT INTO deleted_organizations (id, audit_retention_days, audit_content_retention_days, deleted_at)
            SELECT id, audit_retention_days, audit_content_retention_days, @now FROM organizations
            WHERE id = @id AND (audit_retention_days IS NOT NULL OR audit_content_retention_days IS NOT NULL)
            """,
            [("@id", organizationId), ("@now", now.ToUnixTimeMilliseconds())],
            cancellationToken);

    /// <summary>Organizations that were deleted before a time, and had times of their own.</summary>
    public static Task<List<string>> DeletedAsync(DbConnection connection, DateTimeOffset before, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            "SELECT id FROM deleted_organizations WHERE deleted_at < @before", [("@before", before.ToUnixTimeMilliseconds())],
            row => row.Text("id"), cancellationToken);

    /// <summary>Forgets those of a deleted organization.</summary>
    public static Task ForgetAsync(DbConnection connection, string organizationId, CancellationToken cancellationToken) =>
        connection.ExecuteAsync("DELETE FROM deleted_organizations WHERE id = @id", [("@id", organizationId)], cancellationToken);

    // A row that was edited by hand must not remove everything.
    private static TimeSpan? Days(long? days) => days is { } number ? TimeSpan.FromDays(Math.Clamp(number, 1, OrganizationRow.MaxRetentionDays)) : null;
}
