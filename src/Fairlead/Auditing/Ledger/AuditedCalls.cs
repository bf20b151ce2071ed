using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Auditing.Ledger;

/// <inheritdoc cref="IAuditedCalls"/>
internal sealed class AuditedCalls(LedgerShipper shipper, AuditReader reader) : IAuditedCalls
{
    private static readonly TimeSpan MaxCatchUp = TimeSpan.FromSeconds(2);

    /// <summary>Clocks of nodes may differ: one makes the id, another may run the call.</summary>
    private static readonly TimeSpan MaxClockDifference = TimeSpan.FromMinutes(5);

    /// <summary>A call that waited longer than this is looked for after the others, in more blocks.</summary>
    private static readonly TimeSpan UsualWait = TimeSpan.FromHours(1);

    public async Task<ReadOnlyMemory<byte>?> FindAsync(string projectId, string generationId, CancellationToken cancellationToken)
    {
        if (Ids.TimeOf("gen_", generationId) is not { } made) return null;
        await shipper.CatchUpAsync(MaxCatchUp, cancellationToken);
        var query = new AuditQuery { ProjectId = projectId, GenerationId = generationId, Limit = 1, From = made - MaxClockDifference };
        return await FindAsync(query with { To = made + UsualWait }, cancellationToken)
            ?? await FindAsync(query with { From = made + UsualWait }, cancellationToken);
    }

    private async Task<ReadOnlyMemory<byte>?> FindAsync(AuditQuery query, CancellationToken cancellationToken)
    {
        var page = await reader.ReadAsync(query, cancellationToken);
        // Without the cast, null would become an empty record.
        return page.Records.Count > 0 ? page.Records[0].Json : (ReadOnlyMemory<byte>?)null;
    }
}
