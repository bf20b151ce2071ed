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

    public async Task<bool> CatchUpAsync(CancellationToken cancellationToken) =>
        await shipper.CatchUpAsync(MaxCatchUp + MaxFurtherCatchUp, cancellationToken);

    public bool IsCursor(string text) => AuditCursor.Parse(text) is not null;

    public async Task<AuditedCallPage> ListAsync(AuditedCallFilter filter, AuditedWork work, CancellationToken cancellationToken)
    {
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
                MaxBlocks = Math.Clamp(work.ListBlocks, 1, AuditReader.MaxBlocks),
            },
            cancellationToken);
        work.ListBlocks -= page.Blocks;
        var searchedTo = page.Next is { } next ? DateTimeOffset.FromUnixTimeMilliseconds(next.At) : (DateTimeOffset?)null;
        return new AuditedCallPage([.. page.Records.Select(CallOf)], page.Next?.ToString(), searchedTo);
    }

    public async Task<IReadOnlySet<string>> RanAgainAsync(
        string projectId, IReadOnlyCollection<AuditedCall> calls, AuditedWork work, CancellationToken cancellationToken)
    {
        var again = new HashSet<string>(StringComparer.Ordinal);
        if (calls.Count == 0) return again;
        // Nearly all later runs follow soon. Those that waited long are looked for after that, in more blocks.
        var (first, last) = (calls.Min(call => call.At) - MaxClockDifference, calls.Max(call => call.At) + UsualWait);
        var query = new AuditQuery
        {
            ProjectId = projectId,
            AnyGeneration = [.. calls.Select(call => call.GenerationId).Distinct(StringComparer.Ordinal)],
            Limit = AuditQuery.MaxLimit,
        };
        await AddLaterAsync(query with { From = first, To = last }, calls, again, work, cancellationToken);
        await AddLaterAsync(query with { From = last }, calls, again, work, cancellationToken);
        return again;
    }

    private async Task AddLaterAsync(
        AuditQuery query, IReadOnlyCollection<AuditedCall> calls, HashSet<string> again, AuditedWork work,
        CancellationToken cancellationToken)
    {
        // Newest first: the first record of a generation is that of its last run.
        var newest = new Dictionary<string, string>(StringComparer.Ordinal);
        AuditCursor? after = null;
        do
        {
            if (work.RunBlocks <= 0) break;
            var page = await reader.ReadAsync(
                query with { After = after, MaxBlocks = Math.Min(work.RunBlocks, AuditReader.MaxBlocks) }, cancellationToken);
            // Also if it looked at none, so that this ends.
            work.RunBlocks -= Math.Max(1, page.Blocks);
            foreach (var found in page.Records.Select(CallOf)) newest.TryAdd(found.GenerationId, found.Id);
            after = page.Next;
        }
        while (after is not null);
        foreach (var call in calls)
        {
            if (newest.TryGetValue(call.GenerationId, out var id) && id != call.Id) again.Add(call.Id);
        }
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
