using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Spooling;
using Fairlead.Erasure;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Removal;

/// <summary>
/// Removes erased records from this node's chain, and from those of nodes that do not run. A running node removes its own: the removal is
/// signed with its key, which others may not know. Then this node's spool starts new files, as the old ones have the records. Thread-safe.
/// </summary>
internal sealed class RecordRemoval(
    IStorage storage, TimeProvider time, ILogger<RecordRemoval> logger, AuditSigner? signer = null, Spool? spool = null)
{
    private const int Portion = 50;

    private readonly BlockEditor _editor = new(storage, signer, time, logger);
    private readonly SemaphoreSlim _gate = new(1, 1);

    /// <summary>Removes what is noted; returns how many records.</summary>
    /// <param name="erasureId">Only of this erasure; null for all.</param>
    /// <param name="cancellationToken">Stops between two blocks.</param>
    public async Task<int> RunAsync(string? erasureId, CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            var (removed, own) = (0, 0);
            foreach (var node in await NodesAsync(erasureId, cancellationToken))
            {
                var isOwn = node == spool?.Folder.Node;
                if (!isOwn && spool is not null && !await IsGoneAsync(node, cancellationToken)) continue;
                while (await PortionAsync(node, erasureId, cancellationToken) is { Count: > 0 } blocks)
                {
                    foreach (var (erasure, block) in blocks)
                    {
                        var count = await RemoveAsync(erasure, block, cancellationToken);
                        removed += count;
                        if (isOwn) own += count;
                    }
                }
            }
            if (own > 0) spool?.RenewFiles();
            return removed;
        }
        finally
        {
            _gate.Release();
        }
    }

    private async Task<int> RemoveAsync(string erasureId, long block, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var removed = 0;
        RecordSelection? selection = null;
        if (await ErasureTable.FindAsync(connection, erasureId, cancellationToken) is { } erasure)
        {
            selection = new RecordSelection(erasure.Selector, erasure.CreatedAt);
            removed = await _editor.RemoveAsync(
                block, (found, place) => found.CallOf(place) is { } call && selection.Accepts(call), RemovalReason.Erasure, cancellationToken);
        }
        var isRefused = removed == 0 && selection is not null && await HasAnyAsync(connection, block, selection, cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        if (isRefused) await ErasureTable.NoteErrorAsync(connection, erasureId, "audit_block_changed", cancellationToken);
        await connection.ExecuteAsync(
            "DELETE FROM erasure_blocks WHERE erasure_id = @id AND block = @block", [("@id", erasureId), ("@block", block)], cancellationToken);
        await ErasureTable.CountAsync(connection, erasureId, "audit", removed, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return removed;
    }

    // A block that somebody else has changed is left as it is: a signature must not cover that.
    private static async Task<bool> HasAnyAsync(
        System.Data.Common.DbConnection connection, long number, RecordSelection selection, CancellationToken cancellationToken)
    {
        if (await BlockTable.FindAsync(connection, number, "", cancellationToken) is not { } row) return false;
        try
        {
            var block = AuditBlock.Read(row);
            return Enumerable.Range(0, block.Count).Any(place => block.CallOf(place) is { } call && selection.Accepts(call));
        }
        catch (BlockFormatException)
        {
            return true;
        }
    }

    private async Task<List<string>> NodesAsync(string? erasureId, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.QueryAsync(
            $"SELECT DISTINCT node FROM erasure_blocks{(erasureId is null ? "" : " WHERE erasure_id = @id")}", [("@id", erasureId)],
            row => row.Text("node"), cancellationToken);
    }

    private async Task<List<(string Erasure, long Block)>> PortionAsync(string node, string? erasureId, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.QueryAsync(
            $"""
            SELECT erasure_id, block FROM erasure_blocks WHERE node = @node{(erasureId is null ? "" : " AND erasure_id = @id")}
            ORDER BY block LIMIT {Portion}
            """,
            [("@node", node), ("@id", erasureId)], row => (row.Text("erasure_id"), row.Int64("block")), cancellationToken);
    }

    private async Task<bool> IsGoneAsync(string node, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        return await storage.Sql.IsGoneAsync(transaction, LedgerRetention.PresenceOf(node), cancellationToken);
    }
}
