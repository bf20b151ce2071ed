using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Ledger;
using Fairlead.Storage;

namespace Fairlead.Auditing.Content;

/// <inheritdoc cref="IAuditContent"/>
internal sealed class ContentRemover(IStorage storage, AuditReader reader, TimeProvider time, AuditSigner? signer = null) : IAuditContent
{
    public async Task<bool> RemoveAsync(string node, long sequence, RemovalReason reason, CancellationToken cancellationToken) =>
        await RemoveAsync([(node, sequence)], reason, cancellationToken) > 0;

    public async Task<long> RemoveAsync(AuditQuery selection, RemovalReason reason, CancellationToken cancellationToken)
    {
        var removed = 0L;
        AuditCursor? after = null;
        do
        {
            var page = await reader.ReadAsync(selection with { Limit = AuditQuery.MaxLimit, After = after }, cancellationToken);
            removed += await RemoveAsync(
                [.. page.Records.Where(record => RecordedContent.IsStored(record.Json.Span)).Select(record => (record.Node, record.Sequence))],
                reason, cancellationToken);
            after = page.Next;
        }
        while (after is not null);
        return removed;
    }

    /// <summary>Removes the contents of these records, in one transaction; returns how many.</summary>
    public async Task<int> RemoveAsync(
        IReadOnlyList<(string Node, long Sequence)> records, RemovalReason reason, CancellationToken cancellationToken)
    {
        if (records.Count == 0) return 0;
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var removed = 0;
        var isRegistered = signer is null;
        // Two removals of the same records wait for each other and never deadlock.
        foreach (var (node, sequence) in records.OrderBy(record => record.Node, StringComparer.Ordinal).ThenBy(record => record.Sequence))
        {
            var row = await ContentTable.FindAsync(connection, node, sequence, storage.Sql.ForUpdate, cancellationToken);
            if (row?.Data is null) continue;
            if (!isRegistered) await KeyTable.AddAsync(connection, signer!, time.GetUtcNow(), cancellationToken);
            isRegistered = true;
            var removal = ContentRemoval.Sign(row, reason, signer, time.GetUtcNow());
            removed += await ContentTable.RemoveAsync(connection, node, sequence, removal, cancellationToken);
        }
        if (removed > 0) await transaction.CommitAsync(cancellationToken);
        return removed;
    }
}
