using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Spooling;
using Fairlead.Erasure;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Removal;

/// <summary>
/// Removes erased records from this node's chain, and from those of nodes that have been gone for long. A node removes its own: the removal
/// is signed with its key, and with the key of another one it could not change these blocks any more. Then this node's spool starts new
/// files, as the old ones have the records; that this is to be done is in the database until it is. Thread-safe.
/// </summary>
internal sealed class RecordRemoval(
    IStorage storage, TimeProvider time, ILogger<RecordRemoval> logger, AuditSigner? signer = null, Spool? spool = null) : IDisposable
{
    private const int Portion = 50;

    private readonly BlockEditor _editor = new(storage, signer, time, logger);
    private readonly SemaphoreSlim _gate = new(1, 1);
    private long? _renewalFailed;

    private static readonly TimeSpan RenewalPause = TimeSpan.FromMinutes(1);

    public void Dispose() => _gate.Dispose();

    /// <summary>Removes what is noted; returns how many records.</summary>
    /// <param name="erasureId">Only of this erasure; null for all.</param>
    /// <param name="cancellationToken">Stops between two blocks.</param>
    /// <param name="alive">Called after each block.</param>
    public async Task<int> RunAsync(string? erasureId, CancellationToken cancellationToken, Func<Task>? alive = null)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            var removed = 0;
            HashSet<string>? gone = null;
            foreach (var node in await NodesAsync(erasureId, cancellationToken))
            {
                var isOwn = node == spool?.Folder.Node;
                if (!isOwn && spool is not null)
                {
                    gone ??= await LedgerRetention.GoneNodesAsync(storage, spool, time, cancellationToken);
                    if (!gone.Contains(node)) continue;
                }
                while (await PortionAsync(node, erasureId, cancellationToken) is { Count: > 0 } blocks)
                {
                    foreach (var (erasure, block) in blocks)
                    {
                        removed += await RemoveAsync(erasure, block, isOwn ? node : null, cancellationToken);
                        if (alive is not null) await alive();
                    }
                }
            }
            if (spool is not null) await RenewFilesAsync(spool, cancellationToken);
            return removed;
        }
        finally
        {
            _gate.Release();
        }
    }

    private async Task RenewFilesAsync(Spool own, CancellationToken cancellationToken)
    {
        if (_renewalFailed is { } failed && time.GetElapsedTime(failed) < RenewalPause) return;
        await using var connection = await storage.OpenAsync(cancellationToken);
        var node = own.Folder.Node;
        var known = await connection.Int64Async("SELECT marks FROM erasure_spools WHERE node = @node", [("@node", node)], cancellationToken);
        if (known is not { } marks) return;
        _renewalFailed = own.TryRenewFiles() ? null : time.GetTimestamp();
        if (_renewalFailed is not null) return;
        // One that was added meanwhile stays.
        await storage.WriteAsync(
            connection, "DELETE FROM erasure_spools WHERE node = @node AND marks = @marks", [("@node", node), ("@marks", marks)],
            cancellationToken);
    }

    private async Task<int> RemoveAsync(string erasureId, long block, string? spoolNode, CancellationToken cancellationToken)
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
        if (spoolNode is not null)
        {
            await connection.ExecuteAsync(
                """
                INSERT INTO erasure_spools (node, marks) VALUES (@node, 1)
                ON CONFLICT (node) DO UPDATE SET marks = erasure_spools.marks + 1
                """,
                [("@node", spoolNode)], cancellationToken);
        }
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
}
