using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Auditing.Ledger;

/// <inheritdoc cref="IAuditedCalls"/>
internal sealed class AuditedCalls(LedgerShipper shipper, AuditReader reader) : IAuditedCalls
{
    private static readonly TimeSpan MaxCatchUp = TimeSpan.FromSeconds(2);

    /// <summary>How much longer a call is waited for that was not found: the database is slow, and may not have it yet.</summary>
    private static readonly TimeSpan MaxFurtherCatchUp = TimeSpan.FromSeconds(8);

    /// <summary>Clocks of nodes may differ: one makes the id, another may run the call.</summary>
    private static readonly TimeSpan MaxClockDifference = TimeSpan.FromMinutes(5);

    /// <summary>A call that waited longer than this is looked for after the others, in more blocks.</summary>
    private static readonly TimeSpan UsualWait = TimeSpan.FromHours(1);

    private static readonly string[] LastOutcomes = [Outcome.Complete.ToWire(), Outcome.Length.ToWire(), Outcome.ToolCalls.ToWire()];

    public async Task<AuditedLookup> FindAsync(string projectId, string generationId, CancellationToken cancellationToken)
    {
        if (Ids.TimeOf("gen_", generationId) is not { } made) return new AuditedLookup(null, true);
        var isCertain = await shipper.CatchUpAsync(MaxCatchUp, cancellationToken);
        var found = await FindAsync(projectId, generationId, made, cancellationToken);
        if (found is not null || isCertain) return new AuditedLookup(found, isCertain);
        isCertain = await shipper.CatchUpAsync(MaxFurtherCatchUp, cancellationToken);
        return new AuditedLookup(await FindAsync(projectId, generationId, made, cancellationToken), isCertain);
    }

    public async Task<AuditedCallPage> ListAsync(AuditedCallFilter filter, CancellationToken cancellationToken)
    {
        await shipper.CatchUpAsync(MaxCatchUp, cancellationToken);
        var page = await reader.ReadAsync(
            new AuditQuery
            {
                ProjectId = filter.ProjectId,
                AnyOutcome = filter.Outcomes,
                Model = filter.Model,
                Dialect = filter.Dialect,
                From = filter.From,
                To = filter.To,
                EndUser = filter.EndUser,
                Metadata = filter.Metadata,
                Limit = filter.Limit,
                After = filter.After is { } cursor ? AuditCursor.Parse(cursor) : null,
            },
            cancellationToken);
        var searchedTo = page.Next is { } next ? DateTimeOffset.FromUnixTimeMilliseconds(next.At) : (DateTimeOffset?)null;
        return new AuditedCallPage([.. page.Records.Select(CallOf)], page.Next?.ToString(), searchedTo);
    }

    private async Task<AuditedCall?> FindAsync(
        string projectId, string generationId, DateTimeOffset made, CancellationToken cancellationToken)
    {
        var query = new AuditQuery { ProjectId = projectId, GenerationId = generationId, Limit = 1, From = made - MaxClockDifference };
        var found = await FindAsync(query with { To = made + UsualWait }, cancellationToken);
        return found is { MayHaveRunAgain: false } ? found
            : await FindAsync(query with { From = made + UsualWait }, cancellationToken) ?? found;
    }

    private async Task<AuditedCall?> FindAsync(AuditQuery query, CancellationToken cancellationToken)
    {
        var page = await reader.ReadAsync(query, cancellationToken);
        return page.Records.Count > 0 ? CallOf(page.Records[0]) : null;
    }

    private static AuditedCall CallOf(StoredRecord record)
    {
        using var document = JsonDocument.Parse(record.Json);
        var root = document.RootElement;
        var at = root.GetProperty("at").GetDateTimeOffset().ToUnixTimeMilliseconds();
        return new AuditedCall(
            root.GetProperty("id").GetString()!, root.GetProperty("generation_id").GetString()!,
            DateTimeOffset.FromUnixTimeMilliseconds(at), record.Json)
        {
            MayHaveRunAgain = root.TryGetProperty("run", out _) && !LastOutcomes.Contains(root.GetProperty("outcome").GetString()),
            Cursor = record.Cursor?.ToString() ?? "",
        };
    }
}
