using System.Data.Common;
using Fairlead.Auditing.Records;
using Fairlead.Storage;

namespace Fairlead.Auditing.Administration;

/// <summary>
/// The SQL of <c>audit_changes</c>: records that were written in the transaction of a change, until a server adds them to its chain.
/// </summary>
internal static class ChangeTable
{
    /// <summary>Maximum records of one batch.</summary>
    public const int MaxTaken = 200;

    public static Task<int> AddAsync(DbConnection connection, byte[] record, CancellationToken cancellationToken) =>
        connection.ExecuteAsync("INSERT INTO audit_changes (record) VALUES (@record)", [("@record", record)], cancellationToken);

    public static async Task<bool> AnyAsync(DbConnection connection, CancellationToken cancellationToken) =>
        await connection.Int64Async("SELECT 1 FROM audit_changes LIMIT 1", [], cancellationToken) is not null;

    /// <summary>Removes the oldest records and returns them. Those that another server takes at this moment are left to it.</summary>
    public static async Task<List<ShippedCall>> TakeAsync(DbConnection connection, SqlFlavour sql, CancellationToken cancellationToken)
    {
        var records = new List<ShippedCall>();
        var after = long.MinValue;
        while (records.Count == 0)
        {
            var rows = await connection.QueryAsync(
                $"SELECT number, record FROM audit_changes WHERE number > @after ORDER BY number LIMIT {MaxTaken}{sql.ForUpdateSkipLocked}",
                [("@after", after)], row => (Number: row.Int64("number"), Record: row.Bytes("record")), cancellationToken);
            foreach (var (number, record) in rows)
            {
                after = number;
                // What is no record stays, so that someone can look at it. It must not hold up those behind it.
                if (ShippedCall.ReadAdministration(record, 0) is not { } call) continue;
                await connection.ExecuteAsync("DELETE FROM audit_changes WHERE number = @number", [("@number", number)], cancellationToken);
                records.Add(call);
            }
            if (rows.Count < MaxTaken) break;
        }
        return records;
    }
}
