using System.Data.Common;
using System.Security.Cryptography;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Content;
using Fairlead.Storage;

namespace Fairlead.Auditing.Chain;

/// <summary>Goes through the records of one chain in their order, and reports what does not fit. For one run.</summary>
/// <param name="connection">A connection that reads one state of the database.</param>
/// <param name="node">The node.</param>
/// <param name="report">Receives what is wrong.</param>
/// <param name="proofs">Signed statements that the chain must fulfil.</param>
/// <param name="check">What is wrong with the signature of a removal; null if nothing is.</param>
/// <param name="contents">Compares recorded contents; null to compare none.</param>
internal sealed class ChainWalk(
    DbConnection connection, string node, ChainReport report, IReadOnlyList<ChainProof> proofs, Func<ChainWalk.Removal, string?> check,
    ContentVerifier? contents = null)
{
    private const int BatchBlocks = 32;

    private readonly TermsBuilder _terms = new();
    private readonly ChainProof[] _proofs = [.. proofs.OrderBy(proof => proof.Statement.Sequence)];
    private Queue<RemovedRange> _ranges = new();
    private int _nextProof;

    /// <summary>The number of the next record.</summary>
    public long Next { get; private set; } = 1;

    /// <summary>The hash of the record before it.</summary>
    public byte[] Hash { get; private set; } = ChainHash.BeforeFirst(node);

    /// <param name="start">The block to start with; null for the beginning of the chain.</param>
    /// <param name="cancellationToken">Stops the run.</param>
    public async Task RunAsync(BlockRow? start, CancellationToken cancellationToken)
    {
        if (start is not null) (Next, Hash) = (start.FirstSequence, start.PreviousHash);
        report.First = Next;
        var ranges = await RemovedRange.OfChainAsync(connection, node, cancellationToken);
        _ranges = new Queue<RemovedRange>(ranges.Where(range => range.LastSequence >= Next));
        while (_nextProof < _proofs.Length && _proofs[_nextProof].Statement.Sequence < Next) _nextProof++;
        var after = Next - 1;
        while (true)
        {
            var blocks = await connection.QueryAsync(
                "SELECT * FROM audit_blocks WHERE node = @node AND first_sequence > @after ORDER BY first_sequence LIMIT @limit",
                [("@node", node), ("@after", after), ("@limit", (long)BatchBlocks)], BlockTable.Read, cancellationToken);
            foreach (var block in blocks)
            {
                cancellationToken.ThrowIfCancellationRequested();
                after = block.FirstSequence;
                await VisitAsync(block, cancellationToken);
            }
            if (blocks.Count < BatchBlocks) break;
        }
        SkipRemoved(long.MaxValue);
        if (contents is not null) await contents.FinishAsync(report.First, cancellationToken);
        report.Last = Next - 1;
        if (report.Last < report.First) report.First = 0;
    }

    private async Task VisitAsync(BlockRow row, CancellationToken cancellationToken)
    {
        SkipRemoved(row.FirstSequence);
        if (row.FirstSequence > Next)
        {
            report.Fault(Next, row.FirstSequence == Next + 1 ? "is missing" : $"and all up to {row.FirstSequence - 1} are missing");
        }
        else if (row.FirstSequence < Next)
        {
            report.Fault(row.FirstSequence, $"is there twice: the block of {row.Records} records was inserted, or another was changed");
            return;
        }
        else if (!row.PreviousHash.AsSpan().SequenceEqual(Hash))
        {
            report.Fault(row.FirstSequence, "does not follow the record before it: one of the two was replaced, with all of its block");
        }
        try
        {
            var block = AuditBlock.Read(row);
            Check(block);
            if (contents is not null) await contents.CheckAsync(block, cancellationToken);
        }
        catch (BlockFormatException fault)
        {
            report.Fault(row.FirstSequence, $"and all of its block cannot be read: {fault.Message}");
        }
        (Next, Hash) = (row.FirstSequence + Math.Max(row.Records, 1), row.Hash);
    }

    private void Check(AuditBlock block)
    {
        var faults = report.FaultCount;
        long? firstRemoved = null;
        _terms.Clear();
        for (var i = 0; i < block.Count; i++)
        {
            if (block.RemovedFor(i) is not null)
            {
                firstRemoved ??= block.SequenceOf(i);
                report.Removed++;
                _terms.AddRemoved(block.TimeOf(i));
                continue;
            }
            report.Records++;
            var call = block.CallOf(i);
            if (!block.HasItsContent(i))
                report.Fault(block.SequenceOf(i), "does not have the content that was recorded: it was changed, or others were moved or inserted");
            else if (call is null)
                report.Fault(block.SequenceOf(i), "is not a record");
            if (call is not null) _terms.Add(call);
        }
        var links = block.Links();
        if (!ChainHash.Of(block.Row.PreviousHash, links).AsSpan().SequenceEqual(block.Row.Hash) && report.FaultCount == faults)
        {
            report.Fault(block.Row.FirstSequence, $"or one of those up to {block.Row.LastSequence} was changed, moved, inserted or deleted: together "
                + "they do not have their hash");
        }
        if (report.FaultCount == faults) CheckIndex(block);
        CheckRemoval(block, firstRemoved);
        CheckProofs(block, links);
    }

    private void CheckIndex(AuditBlock block)
    {
        var times = Enumerable.Range(0, block.Count).Select(block.TimeOf).ToArray();
        // As the version that wrote it made it.
        var terms = _terms.ToBytes(block.Terms.Version, Math.Min(block.Terms.Columns, BlockTerms.All.Length));
        if (terms.AsSpan().SequenceEqual(block.Row.Terms) && times.Length > 0 && times.Min() == block.Row.FirstAt
            && times.Max() == block.Row.LastAt)
        {
            return;
        }
        report.Fault(block.Row.FirstSequence, $"and those up to {block.Row.LastSequence} are complete, but their index was changed: a search may miss "
            + "some");
    }

    private void CheckRemoval(AuditBlock block, long? firstRemoved)
    {
        if (firstRemoved is null) return;
        var problem = BlockRemoval.Parse(block.Row.Removal) is { } removal
            ? check(new Removal(removal.KeyId, removal.StatementFor(block), removal.Signature))
            : "is missing";
        if (problem is not null) report.Fault(firstRemoved, $"was removed, but the signed statement about that {problem}");
    }

    private void CheckProofs(AuditBlock block, byte[] links)
    {
        while (ProofUpTo(block.Row.LastSequence) is { } proof)
        {
            var statement = proof.Statement;
            if (statement.Sequence < block.Row.FirstSequence) continue;
            var count = (int)(statement.Sequence - block.Row.FirstSequence + 1);
            var hash = ChainHash.Of(block.Row.PreviousHash, links.AsSpan(0, count * ChainHash.LinkBytes));
            Compare(proof, hash);
        }
    }

    private void SkipRemoved(long before)
    {
        while (_ranges.TryPeek(out var range) && range.FirstSequence < before)
        {
            _ranges.Dequeue();
            if (range.FirstSequence > Next)
                report.Fault(Next, range.FirstSequence == Next + 1 ? "is missing" : $"and all up to {range.FirstSequence - 1} are missing");
            else if (range.FirstSequence < Next)
                report.Fault(range.FirstSequence, "is there, but there is also a statement that it was removed");
            else if (!range.PreviousHash.AsSpan().SequenceEqual(Hash))
                report.Fault(range.FirstSequence, "was removed, but what was removed did not follow the record before it");
            var problem = check(new Removal(range.KeyId, range.Statement(), range.Signature));
            if (problem is not null)
                report.Fault(range.FirstSequence, $"and all up to {range.LastSequence} were removed, but the signed statement about that {problem}");
            else
                NoteRemoved(range);
            if (range.LastAt > range.At)
                report.Fault(range.FirstSequence, $"and all up to {range.LastSequence} were removed before the time of the latest of them");
            while (ProofUpTo(range.LastSequence) is { } proof)
            {
                if (proof.Statement.Sequence == range.LastSequence) Compare(proof, range.Hash);
                // Its record is not there to be compared; the statement about the range stands for it.
                else if (problem is null && proof.Statement.Sequence >= range.FirstSequence) Fulfilled(proof);
            }
            if (range.LastSequence < Next) continue;
            (Next, Hash) = (range.LastSequence + 1, range.Hash);
        }
    }

    private void NoteRemoved(RemovedRange range)
    {
        report.Removed += range.LastSequence - range.FirstSequence + 1;
        report.RemovedUntil = Math.Max(report.RemovedUntil ?? long.MinValue, range.LastAt);
        report.LastProven = Math.Max(report.LastProven, range.LastSequence);
    }

    private ChainProof? ProofUpTo(long sequence) =>
        _nextProof < _proofs.Length && _proofs[_nextProof].Statement.Sequence <= sequence ? _proofs[_nextProof++] : null;

    private void Fulfilled(ChainProof proof)
    {
        if (!proof.IsTrusted) return;
        report.Proofs++;
        report.LastProven = Math.Max(report.LastProven, proof.Statement.Sequence);
    }

    private void Compare(ChainProof proof, byte[] hash)
    {
        if (CryptographicOperations.FixedTimeEquals(hash, proof.Statement.Hash)) Fulfilled(proof);
        else report.Fault(proof.Statement.Sequence, $"or one before it was changed since {proof.Source} was signed");
    }

    /// <summary>A statement about a removal with its signature.</summary>
    internal readonly record struct Removal(string KeyId, byte[] Statement, byte[] Signature);
}
