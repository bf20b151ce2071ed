using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>The times that an organization has of its own.</summary>
/// <param name="OrganizationId">The organization.</param>
/// <param name="Records">How long audit records are stored; null for the time of the configuration.</param>
/// <param name="Content">How long their content is stored; null for the time of the configuration.</param>
internal sealed record OrganizationRetention(string OrganizationId, TimeSpan? Records, TimeSpan? Content)
{
    /// <summary>Those of all organizations that have some.</summary>
    public static Task<List<OrganizationRetention>> AllAsync(DbConnection connection, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            """
            SELECT id, audit_retention_days, audit_content_retention_days FROM organizations
            WHERE audit_retention_days IS NOT NULL OR audit_content_retention_days IS NOT NULL
            """,
            [],
            row => new OrganizationRetention(
                row.Text("id"), Days(row.Int64OrNull("audit_retention_days")), Days(row.Int64OrNull("audit_content_retention_days"))),
            cancellationToken);

    // A row that was edited by hand must not remove everything.
    private static TimeSpan? Days(long? days) => days is { } number ? TimeSpan.FromDays(Math.Clamp(number, 1, OrganizationRow.MaxRetentionDays)) : null;
}
