using System.Data.Common;
using Fairlead.Auditing.Chain;
using Fairlead.Erasure;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Removal;

/// <summary>
/// Compares records that arrive with all erasures: those of calls that ran during one, and those that waited on the spool of a node that
/// had stopped. An erasure to which one belongs starts again. Also removes the records of this node's chain for erasures that another
/// node runs.
/// </summary>
/// <remarks>
/// A block is only read if it has a record from before the last erasure, so this costs nothing while nothing arrives late, and erasures
/// can be compared for ever. How far each chain was compared is in the database; nodes that compare the same records find the same.
/// </remarks>
internal sealed class LateRecords(
    IStorage storage, ErasableRecords records, RecordRemoval removal, ErasureQueue queue, TimeProvider time, ILogger<LateRecords> logger)
    : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    /// <summary>One pass; returns how many calls it found.</summary>
    internal async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        if (await ErasureTable.LastAsync(connection, cancellationToken) is null) return 0;
        await removal.RunAsync(null, cancellationToken);
        // The ends of the chains first, then the erasures: one that is added between the two is compared here too, and one that is added
        // after them finds all records up to these ends itself.
        var chains = await ChainState.AllAsync(connection, cancellationToken);
        if (await ErasureTable.LastAsync(connection, cancellationToken) is not { } until) return 0;
        List<(ErasureRow, RecordSelection)>? selections = null;
        var known = await connection.QueryAsync(
            "SELECT node, sequence FROM erasure_positions", [], row => (Node: row.Text("node"), Sequence: row.Int64("sequence")), cancellationToken);
        var positions = known.ToDictionary(row => row.Node, row => row.Sequence, StringComparer.Ordinal);
        var found = 0;
        foreach (var chain in chains)
        {
            var position = positions.GetValueOrDefault(chain.Node);
            if (position >= chain.Sequence) continue;
            found += await CompareAsync(connection, chain, position, until, SelectionsAsync, cancellationToken);
        }
        return found;

        // Nearly always, no record is so old that one is needed.
        async Task<List<(ErasureRow, RecordSelection)>> SelectionsAsync() =>
            selections ??= (await ErasureTable.AllAsync(connection, cancellationToken))
                .ConvertAll(erasure => (erasure, new RecordSelection(erasure.Selector, erasure.CreatedAt)));
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        using var timer = new PeriodicTimer(Interval, time);
        var isFailing = false;
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                try
                {
                    await RunAsync(stoppingToken);
                    isFailing = false;
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    // Once per outage.
                    if (!isFailing) logger.LateRecordsUnchecked(e);
                    isFailing = true;
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    private async Task<int> CompareAsync(
        DbConnection connection, ChainState chain, long position, DateTimeOffset until,
        Func<Task<List<(ErasureRow Erasure, RecordSelection Selection)>>> selections, CancellationToken cancellationToken)
    {
        var found = 0;
        while (await IndexRow.OfChainAsync(connection, chain.Node, position, until, cancellationToken) is { Count: > 0 } rows)
        {
            foreach (var row in rows)
            {
                // An open block is compared again when it has grown.
                var from = (int)Math.Max(0, position + 1 - row.FirstSequence);
                foreach (var (erasure, selection) in await selections())
                {
                    if (!selection.MayBeIn(row.FirstAt)) continue;
                    var calls = await records.CallsAsync(connection, row, selection, from, cancellationToken);
                    if (calls.Count == 0) continue;
                    found += calls.Count;
                    await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
                    await queue.AddLateAsync(connection, erasure, calls.ConvertAll(call => call.Call), cancellationToken);
                    await transaction.CommitAsync(cancellationToken);
                }
                position = Math.Min(row.LastSequence, chain.Sequence);
            }
            if (position >= chain.Sequence) break;
        }
        // Blocks that were left out have only later records.
        await storage.ExecuteAsync(
            """
            INSERT INTO erasure_positions (node, sequence) VALUES (@node, @sequence)
            ON CONFLICT (node) DO UPDATE SET sequence = excluded.sequence WHERE excluded.sequence > erasure_positions.sequence
            """,
            [("@node", chain.Node), ("@sequence", chain.Sequence)], cancellationToken);
        return found;
    }
}
