using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Auditing.Chain;

/// <summary>The end of a node's chain: the row that a transaction locks to add to it.</summary>
/// <param name="Node">The node.</param>
/// <param name="Sequence">Number of its last record; 0 before the first.</param>
/// <param name="Hash">Hash of that record.</param>
/// <param name="OpenBlock">Number of the block that may get further records; 0 if the next record starts a block.</param>
/// <param name="CheckpointSequence">Number of the record of the last checkpoint; 0 before the first.</param>
/// <param name="CheckpointAt">When it was made, in milliseconds since 1970.</param>
internal sealed record ChainState(
    string Node, long Sequence, byte[] Hash, long OpenBlock, long CheckpointSequence, long CheckpointAt)
{
    private const string Columns = "node, sequence, hash, open_block, checkpoint_sequence, checkpoint_at";

    /// <summary>The state, locked until the transaction ends. A node without one gets it.</summary>
    public static async Task<ChainState> LockAsync(
        DbConnection connection, SqlFlavour sql, string node, CancellationToken cancellationToken)
    {
        if (await FindAsync(connection, node, sql.ForUpdate, cancellationToken) is { } known) return known;
        // Two processes may do this at once; the row is then locked by one of them.
        await connection.ExecuteAsync(
            $"""
            INSERT INTO audit_chains ({Columns}) VALUES (@node, 0, @hash, 0, 0, 0) ON CONFLICT (node) DO NOTHING
            """,
            [("@node", node), ("@hash", ChainHash.BeforeFirst(node))], cancellationToken);
        return await FindAsync(connection, node, sql.ForUpdate, cancellationToken)
            ?? throw new InvalidOperationException("The row of the chain was just added.");
    }

    /// <summary>The state; null if the node has no records.</summary>
    public static Task<ChainState?> FindAsync(
        DbConnection connection, string node, string suffix, CancellationToken cancellationToken) =>
        connection.FirstOrDefaultAsync(
            $"SELECT {Columns} FROM audit_chains WHERE node = @node{suffix}", [("@node", node)], Read, cancellationToken);

    public static Task<List<ChainState>> AllAsync(DbConnection connection, CancellationToken cancellationToken) =>
        connection.QueryAsync($"SELECT {Columns} FROM audit_chains ORDER BY node", [], Read, cancellationToken);

    /// <summary>The block is about to be changed by someone else than the chain's writer, who then starts another.</summary>
    public static Task<int> CloseBlockAsync(DbConnection connection, string node, CancellationToken cancellationToken) =>
        connection.ExecuteAsync("UPDATE audit_chains SET open_block = 0 WHERE node = @node", [("@node", node)], cancellationToken);

    public Task<int> SaveAsync(DbConnection connection, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            """
            UPDATE audit_chains SET sequence = @sequence, hash = @hash, open_block = @open_block,
                checkpoint_sequence = @checkpoint_sequence, checkpoint_at = @checkpoint_at
            WHERE node = @node
            """,
            [
                ("@node", Node), ("@sequence", Sequence), ("@hash", Hash), ("@open_block", OpenBlock),
                ("@checkpoint_sequence", CheckpointSequence), ("@checkpoint_at", CheckpointAt),
            ],
            cancellationToken);

    private static ChainState Read(SqlRow row) => new(
        row.Text("node"), row.Int64("sequence"), row.Bytes("hash"), row.Int64("open_block"), row.Int64("checkpoint_sequence"),
        row.Int64("checkpoint_at"));
}
