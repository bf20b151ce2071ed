using System.Globalization;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Content;
using Fairlead.Erasure;
using Fairlead.Storage;

namespace Fairlead.Auditing.Removal;

/// <summary>
/// Recorded content of calls in erasures, also where the records stay. Their blocks are searched again, because a record says where its content
/// is. Thread-safe.
/// </summary>
internal sealed class ErasableContents(IStorage storage, ErasableRecords records, ContentRemover contents) : IErasable
{
    /// <summary>Contents of one transaction.</summary>
    private const int PortionContents = 200;

    public string Name => "audit_content";

    /// <summary>Before the records, which would be searched in vain afterwards.</summary>
    public int Order => 890;

    public IReadOnlyList<string> Tables { get; } = ["audit_contents"];

    public async Task<ErasureStep> EraseAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken)
    {
        var number = cursor.Length == 0 ? 0 : long.Parse(cursor, CultureInfo.InvariantCulture);
        var selected = new List<(string Node, long Sequence)>();
        await using (var connection = await storage.OpenAsync(cancellationToken))
        {
            var selection = new RecordSelection(target.Selector, target.Until);
            var rows = await IndexRow.AfterAsync(connection, number, target.Until, cancellationToken);
            if (rows.Count == 0) return new ErasureStep(0, null);
            foreach (var row in rows)
            {
                await target.KeepAliveAsync();
                foreach (var (place, _) in await records.CallsAsync(connection, row, selection, 0, cancellationToken))
                    selected.Add((row.Node, row.FirstSequence + place));
                number = row.Number;
            }
        }
        var removed = 0;
        foreach (var portion in selected.Chunk(PortionContents))
        {
            removed += await contents.RemoveAsync(portion, RemovalReason.Erasure, cancellationToken);
            await target.KeepAliveAsync();
        }
        return new ErasureStep(removed, number.ToString(CultureInfo.InvariantCulture));
    }
}
