using System.Data.Common;
using System.Security.Cryptography;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Auditing.Ledger;

/// <summary>One record as stored, with its place in the chain of its node.</summary>
internal sealed record StoredRecord(string Node, long Sequence, Records.AuditRecordKind Kind, ReadOnlyMemory<byte> Json)
{
    public required byte[] PreviousHash { get; init; }

    public required byte[] Hash { get; init; }

    /// <summary>Its place in a list; null outside of lists.</summary>
    public AuditCursor? Cursor { get; init; }
}

/// <param name="Records">At most the limit; fewer when the search stopped at its maximum of blocks.</param>
/// <param name="Next">Where the next page starts, or null at the end.</param>
/// <param name="Blocks">Blocks that it looked at.</param>
internal sealed record AuditPage(IReadOnlyList<StoredRecord> Records, AuditCursor? Next, int Blocks);

/// <summary>
/// Finds audit records, newest first, by the indexes of blocks: only the blocks of records that are returned are read whole. A page looks
/// at a limited number of blocks: when a filter leaves few of them, the page ends early with a cursor. So the cost of a read does not
/// depend on the size of the table. Thread-safe.
/// </summary>
/// <remarks>
/// Blocks are read in the order of their latest record. A record that was found is returned once no later block can have a newer one.
/// </remarks>
internal sealed class AuditReader(IStorage storage, ILogger<AuditReader>? logger = null)
{
    /// <summary>Blocks that one page looks at: two million records if they are full, about 0.1 s.</summary>
    internal const int MaxBlocks = 4096;

    private const long DayMilliseconds = 86_400_000;
    private const int FirstBatch = 8;
    private const int LargestBatch = 256;

    private readonly ILogger _logger = logger ?? NullLogger<AuditReader>.Instance;

    public async Task<AuditPage> ReadAsync(AuditQuery query, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var filter = new BlockFilter(query);
        // The id says when it was made, so a search for one starts there; if clocks have differed by more than a day, everywhere.
        if (filter.MadeAt is { } made && made - DayMilliseconds > filter.From)
        {
            var found = await ReadAsync(connection, filter, query, made - DayMilliseconds, cancellationToken);
            if (found.Records.Count > 0) return found;
        }
        return await ReadAsync(connection, filter, query, filter.From, cancellationToken);
    }

    private async Task<AuditPage> ReadAsync(
        DbConnection connection, BlockFilter filter, AuditQuery query, long from, CancellationToken cancellationToken)
    {
        var search = new Search(this, connection, filter, query, from);
        await search.RunAsync(cancellationToken);
        var records = await search.RecordsAsync(cancellationToken);
        return new AuditPage(records, search.Next, search.Blocks);
    }

    /// <summary>The newest record of a generation; null if there is none.</summary>
    public async Task<StoredRecord?> FindGenerationAsync(string generationId, CancellationToken cancellationToken)
    {
        var page = await ReadAsync(new AuditQuery { GenerationId = generationId, Limit = 1 }, cancellationToken);
        return page.Records.Count > 0 ? page.Records[0] : null;
    }

    /// <summary>The records at these places of a block, without those that were removed.</summary>
    public static IEnumerable<(int Place, StoredRecord Record)> RecordsOf(AuditBlock block, IReadOnlyCollection<int> places)
    {
        var hashes = HashesOf(block, places);
        foreach (var place in places)
        {
            if (place >= block.Count || block.RemovedFor(place) is not null) continue;
            yield return (place, new StoredRecord(
                block.Row.Node, block.SequenceOf(place), block.KindOf(place), block.RecordOf(place).ToArray())
            {
                PreviousHash = hashes[place],
                Hash = hashes[place + 1],
            });
        }
    }

    // The hash before each record of interest, and after it.
    private static byte[][] HashesOf(AuditBlock block, IEnumerable<int> places)
    {
        var wanted = places.ToHashSet();
        var hashes = new byte[block.Count + 1][];
        hashes[0] = block.Row.PreviousHash;
        var links = block.Links();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(block.Row.PreviousHash);
        for (var i = 0; i < block.Count; i++)
        {
            hash.AppendData(links, i * ChainHash.LinkBytes, ChainHash.LinkBytes);
            if (wanted.Contains(i) || wanted.Contains(i + 1)) hashes[i + 1] = hash.GetCurrentHash();
        }
        return hashes;
    }

    private sealed class Search(AuditReader reader, DbConnection connection, BlockFilter filter, AuditQuery query, long from)
    {
        private readonly PriorityQueue<Found, AuditCursor> _found =
            new(Comparer<AuditCursor>.Create(static (left, right) => right.CompareTo(left)));

        private readonly List<Found> _page = [];

        // Blocks before this time count towards the maximum.
        private readonly long _limited = filter.MadeAt is { } made ? made - DayMilliseconds : long.MaxValue;
        private AuditBlock? _block;

        public AuditCursor? Next { get; private set; }

        public int Blocks { get; private set; }

        public async Task RunAsync(CancellationToken cancellationToken)
        {
            var (at, number) = (long.MaxValue, long.MaxValue);
            var (batch, seen) = (FirstBatch, 0);
            while (true)
            {
                var rows = await BatchAsync(at, number, batch, cancellationToken);
                foreach (var row in rows)
                {
                    if (Emit(row.LastAt)) return;
                    // A search by id looks at all blocks since the id was made: their hashes exclude nearly all of them.
                    if (row.LastAt < _limited && seen++ == query.MaxBlocks)
                    {
                        Next = AuditCursor.Before(row.LastAt);
                        return;
                    }
                    Blocks++;
                    await MatchAsync(row, cancellationToken);
                    (at, number) = (row.LastAt, row.Number);
                }
                if (rows.Count < batch)
                {
                    Emit(long.MinValue);
                    return;
                }
                batch = Math.Min(batch * 2, LargestBatch);
            }
        }

        public async Task<IReadOnlyList<StoredRecord>> RecordsAsync(CancellationToken cancellationToken)
        {
            var records = new StoredRecord?[_page.Count];
            // Block by block, each read once and only one in memory: a page may have one record of each of hundreds.
            foreach (var group in _page.Select((found, index) => (found, index)).GroupBy(entry => entry.found.Block))
            {
                if (await BlockAsync(group.Key, cancellationToken) is not { } block) continue;
                var indexes = group.ToDictionary(entry => entry.found.Place, entry => entry.index);
                foreach (var (place, record) in RecordsOf(block, indexes.Keys))
                    records[indexes[place]] = record with { Cursor = _page[indexes[place]].Cursor };
            }
            return [.. records.OfType<StoredRecord>()];
        }

        // Whether the page is full.
        private bool Emit(long newestLeft)
        {
            while (_found.TryPeek(out var found, out var place) && place.At > newestLeft)
            {
                if (_page.Count == query.Limit)
                {
                    Next = _page[^1].Cursor;
                    return true;
                }
                _found.Dequeue();
                _page.Add(found);
            }
            return false;
        }

        private async Task MatchAsync(TermsRow row, CancellationToken cancellationToken)
        {
            BlockTerms terms;
            List<int> places;
            try
            {
                terms = new BlockTerms(row.Terms);
                places = filter.Match(terms, row.Number);
            }
            catch (BlockFormatException)
            {
                reader._logger.BlockUnreadable(row.Node, row.FirstSequence);
                return;
            }
            foreach (var place in places)
            {
                if (filter.NeedsRecord(terms))
                {
                    if (await BlockAsync(row.Number, cancellationToken) is not { } block || place >= block.Count) continue;
                    if (block.CallOf(place) is not { } record || !filter.Accepts(record)) continue;
                }
                var cursor = AuditCursor.Of(terms.TimeOf(place), row.Number, place);
                _found.Enqueue(new Found(row.Number, place, cursor), cursor);
            }
        }

        private async Task<AuditBlock?> BlockAsync(long number, CancellationToken cancellationToken)
        {
            if (_block?.Row.Number == number) return _block;
            if (await BlockTable.FindAsync(connection, number, "", cancellationToken) is not { } row) return null;
            try
            {
                return _block = AuditBlock.Read(row);
            }
            catch (BlockFormatException)
            {
                reader._logger.BlockUnreadable(row.Node, row.FirstSequence);
                return null;
            }
        }

        private Task<List<TermsRow>> BatchAsync(long at, long number, int limit, CancellationToken cancellationToken)
        {
            var last = query.After?.At ?? long.MaxValue;
            return connection.QueryAsync(
                """
                SELECT number, node, first_sequence, last_at, terms FROM audit_blocks
                WHERE (last_at, number) < (@at, @number) AND last_at >= @from AND first_at < @to AND first_at <= @last
                ORDER BY last_at DESC, number DESC LIMIT @limit
                """,
                [
                    ("@at", at), ("@number", number), ("@from", from), ("@to", filter.To), ("@last", last), ("@limit", (long)limit),
                ],
                row => new TermsRow(
                    row.Int64("number"), row.Text("node"), row.Int64("first_sequence"), row.Int64("last_at"), row.Bytes("terms")),
                cancellationToken);
        }
    }

    private readonly record struct Found(long Block, int Place, AuditCursor Cursor);

    private readonly record struct TermsRow(long Number, string Node, long FirstSequence, long LastAt, byte[] Terms);
}
