using System.Data.Common;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;

namespace Fairlead.Auditing.Content;

/// <summary>
/// Compares the recorded content of one chain with its records: content that was changed, that is missing without a signed statement, and
/// that belongs to no record. For one run.
/// </summary>
/// <param name="connection">A connection that reads one state of the database.</param>
/// <param name="node">The node.</param>
/// <param name="sealer">Reads content.</param>
/// <param name="report">Receives what is wrong.</param>
/// <param name="check">What is wrong with the signature of a removal; null if nothing is.</param>
internal sealed class ContentVerifier(
    DbConnection connection, string node, ContentSealer sealer, ChainReport report, Func<ChainWalk.Removal, string?> check)
{
    private long _rows;

    /// <summary>Compares the contents of a block's records.</summary>
    public async Task CheckAsync(AuditBlock block, CancellationToken cancellationToken)
    {
        var rows = (await ContentTable.OfRecordsAsync(connection, node, block.Row.FirstSequence, block.Row.LastSequence, cancellationToken))
            .ToDictionary(row => row.Sequence);
        _rows += rows.Count;
        for (var i = 0; i < block.Count; i++)
        {
            var sequence = block.SequenceOf(i);
            var expected = block.RemovedFor(i) is null ? RecordedContent.Of(block.RecordOf(i).Span)?.Hash : null;
            rows.TryGetValue(sequence, out var row);
            if (expected is null)
            {
                if (row is not null) report.Fault(sequence, "has content that it does not know: it was added to the table");
            }
            else if (row is null)
            {
                report.Fault(sequence, "lacks its content, and no statement says that it was removed");
            }
            else if (!row.Hash.AsSpan().SequenceEqual(expected))
            {
                report.Fault(sequence, "does not have the content that it states: the content was changed or exchanged");
            }
            else if (row.Data is null)
            {
                CheckRemoval(row);
            }
            else
            {
                await CheckAsync(row, cancellationToken);
            }
        }
    }

    /// <summary>After the last block: contents that none of them has.</summary>
    /// <param name="from">The first record that was checked.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    public async Task FinishAsync(long from, CancellationToken cancellationToken)
    {
        var all = await ContentTable.CountAsync(connection, node, from, cancellationToken);
        if (all > _rows) report.Fault(null, $"the table has {all - _rows} content(s) of records that are not there");
    }

    private void CheckRemoval(ContentRow row)
    {
        report.ContentsRemoved++;
        var problem = ContentRemoval.Parse(row.Removal) is { } removal
            ? check(new ChainWalk.Removal(removal.KeyId, removal.StatementFor(row.Node, row.Sequence, row.Hash), removal.Signature))
            : "is missing";
        if (problem is not null) report.Fault(row.Sequence, $"lost its content, and the signed statement that it was removed {problem}");
    }

    private async Task CheckAsync(ContentRow row, CancellationToken cancellationToken)
    {
        report.Contents++;
        var (_, problem) = await sealer.OpenAsync(row, cancellationToken);
        if (problem == ContentProblem.Damaged)
            report.Fault(row.Sequence, "does not have the content that was recorded: the content was changed");
        else if (problem == ContentProblem.KeyMissing)
            report.Notes.Add("encrypted content cannot be checked: the key ring does not have its key");
    }
}
