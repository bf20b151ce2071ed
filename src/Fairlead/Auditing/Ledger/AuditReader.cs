using Fairlead.Storage;

namespace Fairlead.Auditing.Ledger;

/// <summary>One record as stored, with what only the spool knew.</summary>
internal sealed record StoredRecord(string Node, long Sequence, byte[] Json);

/// <param name="Records">At most as many as asked for; fewer when the search stopped at its bound.</param>
/// <param name="Next">Where to go on, or null at the end.</param>
internal sealed record AuditPage(IReadOnlyList<StoredRecord> Records, AuditCursor? Next);

/// <summary>
/// Finds audit records, newest first, at most so many rows looked at a page: where a filter leaves few of them the page ends early with a
/// cursor. So a read costs the same however many rows there are.
/// </summary>
internal sealed class AuditReader(IStorage storage)
{
    public async Task<AuditPage> ReadAsync(AuditQuery query, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        AuditSearch? search = storage.Provider == StorageProvider.Sqlite ? await CompactAuditSearch.OfAsync(query, connection, cancellationToken) : new PostgresAuditSearch(query);
        // A name that no record has.
        if (search is null) return new AuditPage([], null);

        var records = new List<StoredRecord>();
        AuditCursor? last = null;
        var more = false;
        await using (var command = search.Page(connection))
        {
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken))
            {
                if (records.Count == query.Limit)
                {
                    more = true;
                    break;
                }
                last = new AuditCursor(reader.GetInt64(0), reader.GetInt64(1));
                records.Add(new StoredRecord(reader.GetString(2), reader.GetInt64(3), reader.GetFieldValue<byte[]>(4)));
            }
        }
        if (more) return new AuditPage(records, last);
        if (!search.IsBounded) return new AuditPage(records, null);

        await using var bound = search.Bound(connection);
        await using var end = await bound.ExecuteReaderAsync(cancellationToken);
        return new AuditPage(records, await end.ReadAsync(cancellationToken) ? new AuditCursor(end.GetInt64(0), end.GetInt64(1)) : null);
    }
}
