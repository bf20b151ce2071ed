using Fairlead.Storage;

namespace Fairlead.Auditing.Ledger;

/// <summary>One record as stored, with the node and the sequence number of its spool.</summary>
internal sealed record StoredRecord(string Node, long Sequence, byte[] Json);

/// <param name="Records">At most the limit; fewer when the search stopped at its maximum of scanned rows.</param>
/// <param name="Next">Where the next page starts, or null at the end.</param>
internal sealed record AuditPage(IReadOnlyList<StoredRecord> Records, AuditCursor? Next);

/// <summary>
/// Finds audit records, newest first. A page scans a limited number of rows: when a filter leaves few of them, the page ends early with a
/// cursor. So the cost of a read does not depend on the size of the table.
/// </summary>
internal sealed class AuditReader(IStorage storage)
{
    public async Task<AuditPage> ReadAsync(AuditQuery query, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        AuditSearch? search = storage.Provider == StorageProvider.Sqlite
            ? await CompactAuditSearch.OfAsync(query, connection, cancellationToken)
            : new PostgresAuditSearch(query);
        // A name that no record has.
        if (search is null) return new AuditPage([], null);

        var page = search.Page();
        var rows = await connection.QueryAsync(
            page.Sql, page.Values,
            row => (Cursor: ReadCursor(row), Record: new StoredRecord(row.Text("node"), row.Int64("sequence"), row.Bytes("record"))),
            cancellationToken);
        var records = rows.Take(query.Limit).Select(row => row.Record).ToArray();
        if (rows.Count > query.Limit) return new AuditPage(records, rows[query.Limit - 1].Cursor);
        if (!search.IsBounded) return new AuditPage(records, null);

        var bound = search.Bound();
        return new AuditPage(records, await connection.FirstOrDefaultAsync(bound.Sql, bound.Values, ReadCursor, cancellationToken));
    }

    private static AuditCursor ReadCursor(SqlRow row) => new(row.Int64("at"), row.Int64("number"));
}
