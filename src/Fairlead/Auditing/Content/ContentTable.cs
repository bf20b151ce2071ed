using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Auditing.Content;

/// <summary>The SQL of <c>audit_contents</c>.</summary>
internal static class ContentTable
{
    private const string Columns = "node, sequence, at, organization_id, hash, form, removal, data";

    public static Task<int> InsertAsync(DbConnection connection, ContentRow row, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            $"""
            INSERT INTO audit_contents ({Columns})
            VALUES (@node, @sequence, @at, @organization_id, @hash, @form, NULL, @data)
            """,
            [
                ("@node", row.Node), ("@sequence", row.Sequence), ("@at", row.At), ("@organization_id", row.OrganizationId),
                ("@hash", row.Hash), ("@form", (long)row.Form), ("@data", row.Data),
            ],
            cancellationToken);

    /// <summary>The contents of the records of a node with these numbers, both included, in their order.</summary>
    public static Task<List<ContentRow>> OfRecordsAsync(
        DbConnection connection, string node, long first, long last, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            $"""
            SELECT {Columns} FROM audit_contents WHERE node = @node AND sequence >= @first AND sequence <= @last ORDER BY sequence
            """,
            [("@node", node), ("@first", first), ("@last", last)], Read, cancellationToken);

    /// <summary>The content of one record; null if the table has none.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="node">The node.</param>
    /// <param name="sequence">Number of the record.</param>
    /// <param name="suffix">The flavour's words that lock the row, or nothing.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    public static Task<ContentRow?> FindAsync(
        DbConnection connection, string node, long sequence, string suffix, CancellationToken cancellationToken) =>
        connection.FirstOrDefaultAsync(
            $"SELECT {Columns} FROM audit_contents WHERE node = @node AND sequence = @sequence{suffix}",
            [("@node", node), ("@sequence", sequence)], Read, cancellationToken);

    /// <summary>Removes the content, and keeps the statement about that.</summary>
    public static Task<int> RemoveAsync(
        DbConnection connection, string node, long sequence, string removal, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            "UPDATE audit_contents SET data = NULL, removal = @removal WHERE node = @node AND sequence = @sequence AND data IS NOT NULL",
            [("@removal", removal), ("@node", node), ("@sequence", sequence)], cancellationToken);

    /// <summary>Deletes the rows of records that are removed themselves: nothing refers to them any more.</summary>
    public static Task<int> DeleteAsync(
        DbConnection connection, string node, long first, long last, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            "DELETE FROM audit_contents WHERE node = @node AND sequence >= @first AND sequence <= @last",
            [("@node", node), ("@first", first), ("@last", last)], cancellationToken);

    /// <summary>How many rows a node has from a record on.</summary>
    public static async Task<long> CountAsync(DbConnection connection, string node, long from, CancellationToken cancellationToken) =>
        await connection.Int64Async(
            "SELECT COUNT(*) FROM audit_contents WHERE node = @node AND sequence >= @from", [("@node", node), ("@from", from)],
            cancellationToken) ?? 0;

    /// <summary>Contents before a time, oldest first.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="organizationId">Only those of this organization; null for all.</param>
    /// <param name="before">The time.</param>
    /// <param name="after">The last one of the page before: its time, and its number.</param>
    /// <param name="limit">Maximum of contents.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    public static Task<List<OldContent>> OldAsync(
        DbConnection connection, string? organizationId, long before, (long At, long Number) after, int limit,
        CancellationToken cancellationToken) =>
        connection.QueryAsync(
            $"""
            SELECT node, sequence, at, number, organization_id FROM audit_contents
            WHERE {(organizationId is null ? "" : "organization_id = @organization_id AND ")}at < @before AND data IS NOT NULL
                AND (at, number) > (@after_at, @after_number)
            ORDER BY at, number LIMIT @limit
            """,
            [
                ("@organization_id", organizationId), ("@before", before), ("@after_at", after.At), ("@after_number", after.Number),
                ("@limit", (long)limit),
            ],
            row => new OldContent(
                row.Text("node"), row.Int64("sequence"), row.Int64("at"), row.Int64("number"), row.Text("organization_id")),
            cancellationToken);

    private static ContentRow Read(SqlRow row) => new(
        row.Text("node"), row.Int64("sequence"), row.Int64("at"), row.Text("organization_id"), row.Bytes("hash"),
        (ContentForm)row.Int32("form"), row.IsNull("data") ? null : row.Bytes("data"))
    {
        Removal = row.TextOrNull("removal"),
    };
}

/// <summary>Content that may have expired.</summary>
internal readonly record struct OldContent(string Node, long Sequence, long At, long Number, string OrganizationId);
