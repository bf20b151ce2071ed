using System.Data.Common;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Content;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Auditing.Blocks;

/// <summary>
/// Removes records from blocks, and leaves their links, so that the chain stays whole. A block is written again without them, with a signed
/// statement of what was removed. A block that has lost all its records by retention is removed too; a signed range takes its place.
/// Thread-safe.
/// </summary>
internal sealed class BlockEditor(IStorage storage, AuditSigner? signer, TimeProvider time, ILogger? logger = null)
{
    private readonly ILogger _logger = logger ?? NullLogger.Instance;

    /// <summary>Removes the records of a block that <paramref name="selects"/> picks; returns how many. One transaction.</summary>
    /// <param name="number">The key of the block's row.</param>
    /// <param name="selects">Receives the block and the place of a record that is still there.</param>
    /// <param name="reason">Why.</param>
    /// <param name="cancellationToken">Stops before the commit.</param>
    public async Task<int> RemoveAsync(
        long number, Func<AuditBlock, int, bool> selects, RemovalReason reason, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        if (await BlockTable.FindAsync(connection, number, "", cancellationToken) is not { } found) return 0;
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        // The chain first, as its writer does.
        var state = await ChainState.LockAsync(connection, storage.Sql, found.Node, cancellationToken);
        if (await BlockTable.FindAsync(connection, number, storage.Sql.ForUpdate, cancellationToken) is not { } row) return 0;
        var (edited, removed) = Edit(row, selects, reason);
        if (edited is null) return 0;
        if (await RemovedRange.ContainingAsync(connection, row.Node, row.FirstSequence, cancellationToken) is not null)
        {
            // The block is there, so somebody else has written that.
            _logger.RemovalUntrusted(row.Node, row.FirstSequence);
            return 0;
        }
        if (state.OpenBlock == number) await ChainState.CloseBlockAsync(connection, row.Node, cancellationToken);
        if (signer is not null) await KeyTable.AddAsync(connection, signer, time.GetUtcNow(), cancellationToken);
        var block = AuditBlock.Read(edited);
        if (Enumerable.Range(0, block.Count).All(i => block.RemovedFor(i) == RemovalReason.Retention))
        {
            await BlockTable.DeleteAsync(connection, number, cancellationToken);
            await AddRangeAsync(connection, row, reason, cancellationToken);
        }
        else
        {
            var removal = signer is null ? null : BlockRemoval.Sign(block, signer, time.GetUtcNow());
            await BlockTable.UpdateAsync(connection, edited with { Removal = removal }, cancellationToken);
        }
        await DeleteContentsAsync(connection, row, block, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return removed;
    }

    // What a removed record had beside it goes with it, in runs of neighbours.
    private static async Task DeleteContentsAsync(
        DbConnection connection, BlockRow row, AuditBlock block, CancellationToken cancellationToken)
    {
        for (var i = 0; i < block.Count; i++)
        {
            if (block.RemovedFor(i) is null) continue;
            var first = block.SequenceOf(i);
            while (i + 1 < block.Count && block.RemovedFor(i + 1) is not null) i++;
            await ContentTable.DeleteAsync(connection, row.Node, first, block.SequenceOf(i), cancellationToken);
        }
    }

    private (BlockRow? Edited, int Removed) Edit(BlockRow row, Func<AuditBlock, int, bool> selects, RemovalReason reason)
    {
        AuditBlock block;
        try
        {
            block = AuditBlock.Read(row);
        }
        catch (BlockFormatException)
        {
            // Whoever looks for the reason needs it as it is.
            _logger.BlockUnreadable(row.Node, row.FirstSequence);
            return (null, 0);
        }
        if (!IsRemovalTrusted(block))
        {
            // A new signature must not cover what somebody else has made look removed.
            _logger.RemovalUntrusted(row.Node, row.FirstSequence);
            return (null, 0);
        }
        var removed = 0;
        var builder = new BlockBuilder();
        builder.Begin(row.Node, row.FirstSequence, row.PreviousHash);
        for (var i = 0; i < block.Count; i++)
        {
            if (block.RemovedFor(i) is { } before)
            {
                builder.AddRemoved(block.TimeOf(i), block.KindOf(i), block.ContentHashOf(i), before);
            }
            else if (selects(block, i))
            {
                builder.AddRemoved(block.TimeOf(i), block.KindOf(i), block.ContentHashOf(i), reason);
                removed++;
            }
            else if (block.CallOf(i) is { } call)
            {
                builder.Add(call);
            }
            else
            {
                _logger.BlockUnreadable(row.Node, row.FirstSequence);
                return (null, 0);
            }
        }
        if (removed == 0) return (null, 0);
        builder.Number = row.Number;
        var edited = builder.ToRow();
        if (edited.Hash.AsSpan().SequenceEqual(row.Hash)) return (edited, removed);
        // It was changed before: a new signature must not cover that up.
        _logger.BlockUnreadable(row.Node, row.FirstSequence);
        return (null, 0);
    }

    private bool IsRemovalTrusted(AuditBlock block)
    {
        if (signer is null || Enumerable.Range(0, block.Count).All(i => block.RemovedFor(i) is null)) return true;
        return BlockRemoval.Parse(block.Row.Removal) is { } removal
            && signer.Keys.Verify(removal.KeyId, removal.StatementFor(block), removal.Signature);
    }

    // Ranges next to each other become one, if both are signed: a new signature must not cover a range that somebody else has cut out.
    private async Task AddRangeAsync(DbConnection connection, BlockRow row, RemovalReason reason, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow().ToUnixTimeMilliseconds();
        var range = new RemovedRange(row.Node, row.FirstSequence, row.LastSequence, row.PreviousHash, row.Hash, reason.ToWire(), now)
        {
            LastAt = row.LastAt,
        };
        if (await RemovedRange.EndingAtAsync(connection, row.Node, row.FirstSequence - 1, cancellationToken) is { } before
            && IsMergeable(before) && before.Hash.AsSpan().SequenceEqual(range.PreviousHash))
        {
            await before.DeleteAsync(connection, cancellationToken);
            range = range with
            {
                FirstSequence = before.FirstSequence, PreviousHash = before.PreviousHash, LastAt = Math.Max(before.LastAt, range.LastAt),
            };
        }
        if (await RemovedRange.StartingAtAsync(connection, row.Node, row.LastSequence + 1, cancellationToken) is { } after
            && IsMergeable(after) && after.PreviousHash.AsSpan().SequenceEqual(range.Hash))
        {
            await after.DeleteAsync(connection, cancellationToken);
            range = range with { LastSequence = after.LastSequence, Hash = after.Hash, LastAt = Math.Max(after.LastAt, range.LastAt) };
        }
        if (signer is not null) range = range.SignedBy(signer);
        await range.InsertAsync(connection, cancellationToken);

        bool IsMergeable(RemovedRange neighbour)
        {
            if (neighbour.Reason != range.Reason) return false;
            if (neighbour.IsTrusted(signer)) return true;
            _logger.RemovalUntrusted(neighbour.Node, neighbour.FirstSequence);
            return false;
        }
    }
}
