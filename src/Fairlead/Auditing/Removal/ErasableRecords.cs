using System.Data.Common;
using System.Globalization;
using System.Text;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Ledger;
using Fairlead.Erasure;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Auditing.Removal;

/// <summary>
/// Audit records in erasures. Their blocks name the generations of the selected calls, by which the other stores are erased. The records
/// themselves go last, and each node removes those of its own chain, as it signs that. Thread-safe.
/// </summary>
internal sealed class ErasableRecords(
    IStorage storage, LedgerShipper shipper, RecordRemoval removal, ILogger<ErasableRecords>? logger = null) : IErasureSource, IErasable
{
    /// <summary>Blocks of one portion: half a million index entries, 30 ms.</summary>
    private const int PortionBlocks = 256;

    /// <summary>Calls of one portion, which are one transaction.</summary>
    private const int PortionCalls = 500;

    private static readonly TimeSpan MaxCatchUp = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan OtherNodes = TimeSpan.FromSeconds(1);

    /// <summary>A running node needs two seconds. One that does not run removes its records when it starts.</summary>
    private const int MaxWaits = 20;

    /// <summary>How many nodes are named that an erasure waits for.</summary>
    private const int NamedNodes = 3;

    private readonly ILogger _logger = logger ?? NullLogger<ErasableRecords>.Instance;

    public string Name => "audit";

    public int Order => 900;

    public IReadOnlyList<string> Tables { get; } = ["audit_blocks"];

    public async Task<FoundCalls> FindAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken)
    {
        // Calls that ended on this node are in the chain then. Those of others, and calls in flight, are found as they arrive.
        if (cursor.Length == 0) await shipper.CatchUpAsync(MaxCatchUp, cancellationToken);
        var (number, place) = Place.Parse(cursor);
        await using var connection = await storage.OpenAsync(cancellationToken);
        var selection = new RecordSelection(target.Selector, target.Until);
        var found = new List<FoundCall>();
        for (var blocks = 0; blocks < PortionBlocks;)
        {
            // The block of the cursor again, from the place of the cursor on.
            var rows = await IndexRow.AfterAsync(connection, number - (place > 0 ? 1 : 0), target.Until, cancellationToken);
            if (rows.Count == 0) return new FoundCalls(found, null);
            foreach (var row in rows)
            {
                var from = row.Number == number ? place : 0;
                await target.KeepAliveAsync();
                foreach (var (at, call) in await CallsAsync(connection, row, selection, from, cancellationToken, target.Id))
                {
                    found.Add(call);
                    if (found.Count == PortionCalls) return new FoundCalls(found, new Place(row.Number, at + 1).ToString());
                }
                (number, place) = (row.Number, 0);
                blocks++;
            }
        }
        return new FoundCalls(found, new Place(number, 0).ToString());
    }

    public async Task<ErasureStep> EraseAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken)
    {
        if (!target.RemovesRecords) return new ErasureStep(0, null);
        // This node counts what it removes itself, as the other nodes do.
        await removal.RunAsync(target.Id, cancellationToken, target.KeepAliveAsync);
        await using var connection = await storage.OpenAsync(cancellationToken);
        var left = await connection.QueryAsync(
            $"SELECT DISTINCT node FROM erasure_blocks WHERE erasure_id = @id ORDER BY node LIMIT {NamedNodes}", [("@id", target.Id)],
            row => row.Text("node"), cancellationToken);
        if (left.Count == 0) return new ErasureStep(0, null);
        var waited = cursor.Length == 0 ? 0 : int.Parse(cursor, CultureInfo.InvariantCulture);
        return waited < MaxWaits ? new ErasureStep(0, (waited + 1).ToString(CultureInfo.InvariantCulture), OtherNodes)
            : new ErasureStep(0, null, LeftOut: $"{Name}: {string.Join(", ", left)}");
    }

    /// <summary>The selected calls of a block from a place on.</summary>
    /// <param name="connection">Reads.</param>
    /// <param name="row">The block.</param>
    /// <param name="selection">Which calls.</param>
    /// <param name="from">The place.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <param name="erasureId">The erasure that fails if nobody can read the block; null for none.</param>
    internal async Task<List<(int Place, FoundCall Call)>> CallsAsync(
        DbConnection connection, IndexRow row, RecordSelection selection, int from, CancellationToken cancellationToken,
        string? erasureId = null)
    {
        var calls = new List<(int, FoundCall)>();
        try
        {
            var places = selection.Match(new BlockTerms(row.Terms));
            if (places.Count == 0 || places[^1] < from) return calls;
            if (await BlockTable.FindAsync(connection, row.Number, "", cancellationToken) is not { } stored) return calls;
            var block = AuditBlock.Read(stored);
            foreach (var place in places.Where(place => place >= from && place < block.Count))
            {
                if (block.CallOf(place) is not { } record || !selection.Accepts(record)) continue;
                calls.Add((place, new FoundCall(
                    Encoding.UTF8.GetString(record.GenerationId.Span), Encoding.UTF8.GetString(record.ProjectId.Span),
                    new ErasedBlock(row.Node, row.Number))));
            }
        }
        catch (BlockFormatException)
        {
            // The verification of the chain says so too. Nobody can read its records.
            _logger.BlockUnreadable(row.Node, row.FirstSequence);
            if (erasureId is null) return calls;
            await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
            await ErasureTable.NoteErrorAsync(connection, erasureId, ErasureRow.BlockUnreadable, cancellationToken);
            await transaction.CommitAsync(cancellationToken);
        }
        return calls;
    }

    private readonly record struct Place(long Number, int At)
    {
        public static Place Parse(string cursor)
        {
            if (cursor.Length == 0) return default;
            var dot = cursor.IndexOf('.', StringComparison.Ordinal);
            return new Place(
                long.Parse(cursor.AsSpan(0, dot), CultureInfo.InvariantCulture), int.Parse(cursor.AsSpan(dot + 1), CultureInfo.InvariantCulture));
        }

        public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Number}.{At}");
    }
}
