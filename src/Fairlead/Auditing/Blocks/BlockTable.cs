using System.Data.Common;
using System.Security.Cryptography;
using Fairlead.Auditing.Chain;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Blocks;

/// <summary>The SQL of <c>audit_blocks</c>.</summary>
internal static class BlockTable
{
    private const string Columns = "number, node, first_sequence, records, first_at, last_at, previous_hash, hash, removal, terms, data";

    public static async Task<long> InsertAsync(DbConnection connection, BlockRow row, CancellationToken cancellationToken) =>
        (await connection.Int64Async(
            """
            INSERT INTO audit_blocks (node, first_sequence, records, first_at, last_at, previous_hash, hash, removal, terms, data)
            VALUES (@node, @first_sequence, @records, @first_at, @last_at, @previous_hash, @hash, @removal, @terms, @data)
            RETURNING number
            """,
            [("@node", row.Node), ("@first_sequence", row.FirstSequence), ("@previous_hash", row.PreviousHash), .. ContentOf(row)],
            cancellationToken))!.Value;

    /// <summary>Writes everything but its place in the chain again.</summary>
    public static Task<int> UpdateAsync(DbConnection connection, BlockRow row, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            """
            UPDATE audit_blocks SET records = @records, first_at = @first_at, last_at = @last_at, hash = @hash, removal = @removal,
                terms = @terms, data = @data
            WHERE number = @number
            """,
            [("@number", row.Number), .. ContentOf(row)], cancellationToken);

    public static Task<int> DeleteAsync(DbConnection connection, long number, CancellationToken cancellationToken) =>
        connection.ExecuteAsync("DELETE FROM audit_blocks WHERE number = @number", [("@number", number)], cancellationToken);

    /// <summary>One block; null if there is none with this number.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="number">The key of the row.</param>
    /// <param name="suffix">The flavour's words that lock the row, or nothing.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    public static Task<BlockRow?> FindAsync(
        DbConnection connection, long number, string suffix, CancellationToken cancellationToken) =>
        connection.FirstOrDefaultAsync(
            $"SELECT {Columns} FROM audit_blocks WHERE number = @number{suffix}", [("@number", number)], Read, cancellationToken);

    /// <summary>The blocks of a node in the order of its chain.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="node">The node.</param>
    /// <param name="from">The block that contains this sequence number comes first.</param>
    /// <param name="limit">Maximum of blocks.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    public static Task<List<BlockRow>> OfChainAsync(
        DbConnection connection, string node, long from, int limit, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            $"""
            SELECT {Columns} FROM audit_blocks WHERE node = @node AND first_sequence > @from - {BlockBuilder.MaxRecords}
                AND first_sequence + records > @from
            ORDER BY first_sequence LIMIT @limit
            """,
            [("@node", node), ("@from", from), ("@limit", (long)limit)], Read, cancellationToken);

    /// <summary>The first block of a node's chain that starts at this record or after it; null if there is none.</summary>
    public static Task<BlockRow?> FirstFromAsync(
        DbConnection connection, string node, long sequence, CancellationToken cancellationToken) =>
        connection.FirstOrDefaultAsync(
            $"SELECT {Columns} FROM audit_blocks WHERE node = @node AND first_sequence >= @sequence ORDER BY first_sequence LIMIT 1",
            [("@node", node), ("@sequence", sequence)], Read, cancellationToken);

    /// <summary>Numbers of the blocks with records before a time, oldest first.</summary>
    public static Task<List<long>> StartingBeforeAsync(
        DbConnection connection, long before, long after, int limit, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            "SELECT number FROM audit_blocks WHERE first_at < @before AND number > @after ORDER BY number LIMIT @limit",
            [("@before", before), ("@after", after), ("@limit", (long)limit)], row => row.Int64("number"), cancellationToken);

    /// <summary>
    /// Whether there is, or was, a record of this id and time. Compares hashes of ids first, so that hardly any block is read in vain. The
    /// index no longer has the id of a removed record: its content hash is compared. A block that cannot be read is logged and has no
    /// records: those that come must not wait for it.
    /// </summary>
    public static async Task<bool> ContainsAsync(
        DbConnection connection, Records.ShippedCall call, ILogger logger, CancellationToken cancellationToken)
    {
        // As the index has it: a record of administration has no generation.
        var hash = BlockTerms.HashOf(call.Kind == Records.AuditRecordKind.Generation ? call.GenerationId.Span : call.Id.Span);
        var blocks = await connection.QueryAsync(
            "SELECT number, node, first_sequence, terms FROM audit_blocks WHERE last_at >= @at AND first_at <= @at", [("@at", call.At)],
            row => (Number: row.Int64("number"), Node: row.Text("node"), FirstSequence: row.Int64("first_sequence"), Terms: row.Bytes("terms")),
            cancellationToken);
        byte[]? content = null;
        foreach (var (number, node, firstSequence, terms) in blocks)
        {
            try
            {
                var index = new BlockTerms(terms);
                if (!index.MayHave(hash) && !index.HasRemovedAt(call.At)) continue;
                if (await FindAsync(connection, number, "", cancellationToken) is not { } row) continue;
                var block = AuditBlock.Read(row);
                if (block.Has(call.Id.Span) || block.HadContent(call.At, content ??= SHA256.HashData(call.Record.Span))) return true;
            }
            catch (BlockFormatException)
            {
                logger.BlockUnreadable(node, firstSequence);
            }
        }
        return false;
    }

    public static BlockRow Read(SqlRow row) => new()
    {
        Number = row.Int64("number"),
        Node = row.Text("node"),
        FirstSequence = row.Int64("first_sequence"),
        Records = row.Int32("records"),
        FirstAt = row.Int64("first_at"),
        LastAt = row.Int64("last_at"),
        PreviousHash = row.Bytes("previous_hash"),
        Hash = row.Bytes("hash"),
        Removal = row.TextOrNull("removal"),
        Terms = row.Bytes("terms"),
        Data = row.Bytes("data"),
    };

    private static (string Name, SqlValue Value)[] ContentOf(BlockRow row) =>
    [
        ("@records", (long)row.Records), ("@first_at", row.FirstAt), ("@last_at", row.LastAt), ("@hash", row.Hash),
        ("@removal", row.Removal), ("@terms", row.Terms), ("@data", row.Data),
    ];
}
