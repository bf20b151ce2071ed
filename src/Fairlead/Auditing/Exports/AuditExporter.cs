using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Content;
using Fairlead.Auditing.Ledger;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Auditing.Exports;

/// <summary>Writes audit records to a stream: those of a search, or all of a chain from a record on. Thread-safe.</summary>
internal sealed class AuditExporter(
    IStorage storage, AuditReader reader, ILogger<AuditExporter>? logger = null, ContentView? contents = null)
{
    /// <summary>Records of one read of a search.</summary>
    private const int PageRecords = AuditQuery.MaxLimit;

    private readonly ILogger _logger = logger ?? NullLogger<AuditExporter>.Instance;

    /// <summary>The first page of a search, so that an unavailable database is noticed before anything is written.</summary>
    public Task<AuditPage> FirstAsync(AuditQuery query, CancellationToken cancellationToken) =>
        reader.ReadAsync(query with { Limit = PageRecords, After = null }, cancellationToken);

    /// <summary>Writes all records that match, newest first, a page at a time; returns how many.</summary>
    /// <param name="output">Receives them; flushed after each page.</param>
    /// <param name="format">The format.</param>
    /// <param name="query">The filters.</param>
    /// <param name="first">The first page.</param>
    /// <param name="cancellationToken">Stops between two records.</param>
    /// <param name="hasContent">Whether records have their recorded content.</param>
    public async Task<long> WriteAsync(
        Stream output, ExportFormat format, AuditQuery query, AuditPage first, CancellationToken cancellationToken, bool hasContent = false)
    {
        await using var writer = await format.WriterAsync(output, cancellationToken);
        var (page, count) = (first, 0L);
        while (true)
        {
            foreach (var record in page.Records)
            {
                // One at a time: content is large.
                var shown = hasContent && contents is not null ? (await contents.AddToAsync([record], cancellationToken))[0] : record;
                await writer.WriteAsync(shown, cancellationToken);
            }
            count += page.Records.Count;
            if (page.Next is not { } next) break;
            await output.FlushAsync(cancellationToken);
            page = await reader.ReadAsync(query with { Limit = PageRecords, After = next }, cancellationToken);
        }
        await writer.FinishAsync(cancellationToken);
        await output.FlushAsync(cancellationToken);
        return count;
    }

    /// <summary>Writes the records of a node's chain in its order, a block at a time.</summary>
    /// <param name="writer">Receives them.</param>
    /// <param name="node">The node.</param>
    /// <param name="after">Only records with a higher number.</param>
    /// <param name="upTo">Only records up to this number.</param>
    /// <param name="cancellationToken">Stops between two records.</param>
    /// <returns>How many records.</returns>
    public async Task<long> WriteChainAsync(
        IRecordWriter writer, string node, long after, long upTo, CancellationToken cancellationToken)
    {
        var count = 0L;
        while (after < upTo)
        {
            if (await NextAsync(node, after + 1, cancellationToken) is not { } row || row.FirstSequence > upTo) break;
            foreach (var record in RecordsOf(row, after, upTo))
            {
                await writer.WriteAsync(record, cancellationToken);
                count++;
            }
            after = row.LastSequence;
        }
        return count;
    }

    private List<StoredRecord> RecordsOf(BlockRow row, long after, long upTo)
    {
        try
        {
            var block = AuditBlock.Read(row);
            var places = Enumerable.Range(0, block.Count)
                .Where(place => block.SequenceOf(place) is var sequence && sequence > after && sequence <= upTo);
            return [.. AuditReader.RecordsOf(block, [.. places]).Select(found => found.Record)];
        }
        catch (BlockFormatException)
        {
            // The verification of the chain names what is missing.
            _logger.BlockUnreadable(row.Node, row.FirstSequence);
            return [];
        }
    }

    // The block that has the record or, if that was removed by retention, the next one.
    private async Task<BlockRow?> NextAsync(string node, long sequence, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        if (await BlockTable.OfChainAsync(connection, node, sequence, 1, cancellationToken) is [var row]) return row;
        return await BlockTable.FirstFromAsync(connection, node, sequence, cancellationToken);
    }
}
