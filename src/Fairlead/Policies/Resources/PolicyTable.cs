using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Policies.Resources;

/// <summary>
/// SQL of the tables <c>content_policies</c> and <c>content_policy_versions</c>. The column of the name is unique. That of a policy which an
/// organization manages has the id of the organization before it, so that organizations do not meet each other's names.
/// </summary>
internal static class PolicyTable
{
    private const char NameSeparator = '\u001f';


    private const string Columns = "id, name, organization_id, project_id, key_id, version, content, created_at, updated_at, managed_by";

    private const string VersionColumns = "policy_id, version, name, content, changed_by, changed_by_name, changed_at, managed_by";

    public static Task<PolicyRow?> FindAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        connection.FirstOrDefaultAsync(
            $"SELECT {Columns} FROM content_policies WHERE id = @id", [("@id", id)], Read, cancellationToken);

    /// <param name="connection">Reads.</param>
    /// <param name="name">As it is stored (<see cref="StoredName"/>).</param>
    /// <param name="exceptId">The policy that may have it.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    public static async Task<bool> HasNameAsync(
        DbConnection connection, string name, string exceptId, CancellationToken cancellationToken) =>
        await connection.Int64Async(
            "SELECT COUNT(*) FROM content_policies WHERE name = @name AND id <> @id", [("@name", name), ("@id", exceptId)],
            cancellationToken) > 0;

    /// <summary>The name of a policy as its column has it.</summary>
    /// <param name="name">As clients see it.</param>
    /// <param name="organizationId">The organization that manages it; null for the installation.</param>
    public static string StoredName(string name, string? organizationId) =>
        organizationId is null ? name : organizationId + NameSeparator + name;

    /// <summary>Policies of one owner with the same manager.</summary>
    public static async Task<long> CountAsync(
        DbConnection connection, PolicyOwner owner, string managedBy, CancellationToken cancellationToken) =>
        await connection.Int64Async(
            """
            SELECT COUNT(*) FROM content_policies
            WHERE managed_by = @manager AND (organization_id = @organization OR project_id = @project OR key_id = @key)
            """,
            [("@manager", managedBy), .. Of(owner)], cancellationToken) ?? 0;

    /// <summary>Up to <paramref name="limit"/> policies after the id <paramref name="after"/>, in the order of ids.</summary>
    /// <param name="connection">Reads.</param>
    /// <param name="after">The id of the last one on the page before; empty for the first page.</param>
    /// <param name="owner">Only of this owner; of all if it names none.</param>
    /// <param name="within">Only for calls of this organization, whatever owner they name; null for all.</param>
    /// <param name="limit">How many.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    public static Task<List<PolicyRow>> ListAsync(
        DbConnection connection, string after, PolicyOwner owner, string? within, int limit, CancellationToken cancellationToken)
    {
        var sql = $"SELECT {Columns} FROM content_policies WHERE id > @after";
        if (owner.OrganizationId is not null) sql += " AND organization_id = @organization";
        if (owner.ProjectId is not null) sql += " AND project_id = @project";
        if (owner.KeyId is not null) sql += " AND key_id = @key";
        if (within is not null)
        {
            sql += """
                 AND (organization_id = @within OR project_id IN (SELECT id FROM projects WHERE organization_id = @within)
                    OR key_id IN (SELECT k.id FROM api_keys k JOIN projects p ON p.id = k.project_id WHERE p.organization_id = @within))
                """;
        }
        return connection.QueryAsync(
            sql + " ORDER BY id LIMIT @limit", [("@after", after), ("@limit", limit), ("@within", within), .. Of(owner)], Read,
            cancellationToken);
    }

    /// <summary>All of them, with the revision that they belong to.</summary>
    public static async Task<(long Revision, List<PolicyRow> Rows)> ReadAllAsync(
        DbConnection connection, CancellationToken cancellationToken)
    {
        // One statement, so that both are of the same state.
        var rows = await connection.QueryAsync(
            """
            SELECT r.revision, p.id, p.name, p.organization_id, p.project_id, p.key_id, p.version, p.content, p.created_at, p.updated_at,
                p.managed_by
            FROM content_policy_revision r LEFT JOIN content_policies p ON 1 = 1 ORDER BY p.id
            """,
            [], static row => (Revision: row.Int64("revision"), Row: row.IsNull("id") ? null : Read(row)), cancellationToken);
        return (rows.Count == 0 ? 0 : rows[0].Revision, [.. rows.Where(row => row.Row is not null).Select(row => row.Row!)]);
    }

    public static async Task<long> ReadRevisionAsync(DbConnection connection, CancellationToken cancellationToken) =>
        await connection.Int64Async("SELECT revision FROM content_policy_revision", [], cancellationToken) ?? 0;

    public static Task InsertAsync(DbConnection connection, PolicyRow row, string storedName, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            $"""
            INSERT INTO content_policies ({Columns})
            VALUES (@id, @name, @organization, @project, @key, @version, @content, @created_at, @updated_at, @manager)
            """,
            [
                ("@id", row.Id), ("@name", storedName), ("@version", row.Version), ("@content", row.Content),
                ("@created_at", row.CreatedAt), ("@updated_at", row.UpdatedAt), ("@manager", row.ManagedBy), .. Of(row.Owner),
            ],
            cancellationToken);

    /// <summary>Stores the fields that a change may set, and the time of the change.</summary>
    public static Task UpdateAsync(DbConnection connection, PolicyRow row, string storedName, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            """
            UPDATE content_policies SET name = @name, version = @version, content = @content, updated_at = @updated_at, managed_by = @manager
            WHERE id = @id
            """,
            [
                ("@name", storedName), ("@manager", row.ManagedBy), ("@version", row.Version), ("@content", row.Content),
                ("@updated_at", row.UpdatedAt), ("@id", row.Id),
            ],
            cancellationToken);

    public static Task DeleteAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        connection.ExecuteAsync("DELETE FROM content_policies WHERE id = @id", [("@id", id)], cancellationToken);

    public static Task InsertVersionAsync(DbConnection connection, PolicyVersionRow row, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            $"""
            INSERT INTO content_policy_versions ({VersionColumns})
            VALUES (@id, @version, @name, @content, @by, @by_name, @at, @manager)
            """,
            [
                ("@id", row.PolicyId), ("@version", row.Version), ("@name", row.Name), ("@content", row.Content), ("@by", row.ChangedBy),
                ("@by_name", row.ChangedByName), ("@at", row.ChangedAt), ("@manager", row.ManagedBy),
            ],
            cancellationToken);

    /// <summary>Up to <paramref name="limit"/> versions before <paramref name="before"/>, the newest first.</summary>
    public static Task<List<PolicyVersionRow>> ListVersionsAsync(
        DbConnection connection, string id, long before, int limit, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            $"""
            SELECT {VersionColumns} FROM content_policy_versions WHERE policy_id = @id AND version < @before
            ORDER BY version DESC LIMIT @limit
            """,
            [("@id", id), ("@before", before), ("@limit", limit)], ReadVersion, cancellationToken);

    public static Task<PolicyVersionRow?> FindVersionAsync(
        DbConnection connection, string id, long version, CancellationToken cancellationToken) =>
        connection.FirstOrDefaultAsync(
            $"SELECT {VersionColumns} FROM content_policy_versions WHERE policy_id = @id AND version = @version",
            [("@id", id), ("@version", version)], ReadVersion, cancellationToken);

    private static (string Name, SqlValue Value)[] Of(PolicyOwner owner) =>
        [("@organization", owner.OrganizationId), ("@project", owner.ProjectId), ("@key", owner.KeyId)];

    private static PolicyRow Read(SqlRow row) => new()
    {
        Id = row.Text("id"),
        Name = row.Text("name") is var name && name.IndexOf(NameSeparator, StringComparison.Ordinal) is var at and >= 0
            ? name[(at + 1)..] : name,
        ManagedBy = row.Text("managed_by"),
        Owner = new PolicyOwner(row.TextOrNull("organization_id"), row.TextOrNull("project_id"), row.TextOrNull("key_id")),
        Version = row.Int64("version"),
        Content = row.Text("content"),
        CreatedAt = row.Time("created_at"),
        UpdatedAt = row.Time("updated_at"),
    };

    private static PolicyVersionRow ReadVersion(SqlRow row) => new()
    {
        PolicyId = row.Text("policy_id"),
        Version = row.Int64("version"),
        Name = row.Text("name"),
        Content = row.Text("content"),
        ChangedBy = row.Text("changed_by"),
        ChangedByName = row.Text("changed_by_name"),
        ChangedAt = row.Time("changed_at"),
        ManagedBy = row.Text("managed_by"),
    };
}
