using System.Data.Common;
using Fairlead.Auditing.Blocks;
using Fairlead.Storage;

namespace Fairlead.Auditing.Removal;

/// <summary>A block without its records.</summary>
internal readonly record struct IndexRow(long Number, string Node, long FirstSequence, int Records, long FirstAt, byte[] Terms)
{
    private const string Columns = "number, node, first_sequence, records, first_at, terms";

    /// <summary>Rows of one read; an index has about 20 KB.</summary>
    private const int Limit = 64;

    public long LastSequence => FirstSequence + Records - 1;

    /// <summary>Some blocks after a number that have records until a time.</summary>
    public static Task<List<IndexRow>> AfterAsync(
        DbConnection connection, long number, DateTimeOffset until, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            $"SELECT {Columns} FROM audit_blocks WHERE number > @number AND first_at <= @until ORDER BY number LIMIT {Limit}",
            [("@number", number), ("@until", until)], Read, cancellationToken);

    /// <summary>Some blocks of a chain with records after a number in it, and with records until a time.</summary>
    public static Task<List<IndexRow>> OfChainAsync(
        DbConnection connection, string node, long after, DateTimeOffset until, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            $"""
            SELECT {Columns} FROM audit_blocks WHERE node = @node AND first_sequence > @after - {BlockBuilder.MaxRecords}
                AND first_sequence + records > @after + 1 AND first_at <= @until
            ORDER BY first_sequence LIMIT {Limit}
            """,
            [("@node", node), ("@after", after), ("@until", until)], Read, cancellationToken);

    private static IndexRow Read(SqlRow row) =>
        new(row.Int64("number"), row.Text("node"), row.Int64("first_sequence"), row.Int32("records"), row.Int64("first_at"), row.Bytes("terms"));
}
