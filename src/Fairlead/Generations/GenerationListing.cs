using System.Collections.Frozen;
using System.Text.Json;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Http;
using Fairlead.Pipeline;

namespace Fairlead.Generations;

/// <summary>
/// Lists every call of a project, newest first: stored generations from their table, all others that have ended from their audit records.
/// A generation that is stored is not listed by its records. The two are read in pieces and merged by time; a page ends early when the
/// filters leave little of many pieces, so that the cost of a page does not depend on the number of calls. Thread-safe.
/// </summary>
/// <remarks>
/// A stored generation is at the time when it was created, a record at the time when its run started. An entry is listed when no piece of
/// the other source can have a newer one.
/// </remarks>
internal sealed class GenerationListing(
    IGenerationStore store, GenerationWriter writer, ICatalogue catalogue, DialectRegistry dialects, TimeProvider time,
    IAuditedCalls? audited = null)
{
    public const int MaxLimit = 100;

    private const int DefaultLimit = 20;

    /// <summary>Pieces of one page.</summary>
    private const int MaxPieces = 8;

    /// <summary>Rows of one piece if their labels must be looked at.</summary>
    private const int LabelRows = 512;

    private readonly string[] _dialects = [.. dialects.All.Select(dialect => dialect.Name), Policies.Moderation.ModerationDialect.Name];

    public async Task<EndpointResult> ListAsync(EndpointRequest request)
    {
        var query = new QueryReader(
            request.Query, [.. GenerationListFilter.Names, "limit", "cursor"], GenerationListFilter.MetadataPrefix);
        var limit = query.Integer("limit", 1, MaxLimit, DefaultLimit);
        var filter = GenerationListFilter.Read(query, catalogue.Current, _dialects);
        GenerationListPosition? position = GenerationListPosition.Start;
        if (query.Text("cursor") is { } cursor
            && ((position = GenerationListPosition.Parse(cursor)) is null || (position.Audited is { } last && audited?.IsCursor(last) != true)))
        {
            query.AddError("cursor", "Must be a next_cursor of this list.");
        }
        if (query.Error is { } error) return error;

        var at = position;
        if (audited is not null && filter.Outcomes is not { Count: 0 } && !await audited.CatchUpAsync(request.Cancellation)
            && at == GenerationListPosition.Start)
        {
            // Later pages are of older calls.
            return GenerationEndpoints.NotUpToDate();
        }
        var page = new Page(request.Caller.ProjectId, filter, limit, time.GetUtcNow())
        {
            // Otherwise the newest run of a generation is listed first.
            MayMissNewest = at != GenerationListPosition.Start || filter.Outcomes is not null || filter.CreatedBefore is not null
                || filter.Model is not null,
        };
        for (var pieces = 0; at is not null && page.Entries.Count < limit && pieces < MaxPieces && page.Work.ListBlocks > 0; pieces++)
            at = await AddPieceAsync(page, at, request.Cancellation);
        return EndpointResult.LargeJson(json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("data");
            foreach (var entry in page.Entries) Write(json, entry, request);
            json.WriteEndArray();
            json.WriteString("next_cursor", at?.ToString());
            json.WriteEndObject();
        });
    }

    private void Write(Utf8JsonWriter json, Entry entry, EndpointRequest request)
    {
        if (entry.Stored is { } stored) writer.Write(json, stored);
        else AuditedGeneration.Write(json, entry.Audited!.Json, request.Site);
    }

    /// <summary>Reads a piece of both sources and adds what is certainly next. Returns where the next piece starts; null at the end.</summary>
    private async Task<GenerationListPosition?> AddPieceAsync(
        Page page, GenerationListPosition position, CancellationToken cancellationToken)
    {
        var wanted = page.Limit - page.Entries.Count;
        var (stored, lastStored) = await StoredAsync(page, position, wanted, cancellationToken);
        var records = await AuditedAsync(page, position, wanted, cancellationToken);
        var known = await store.KnownAsync(
            page.ProjectId, records.Calls.Select(call => call.GenerationId).Distinct().ToArray(), page.Now, cancellationToken);
        var repeated = await RanAgainAsync(page, records.Calls, known, cancellationToken);
        // Entries that are older than this may have newer ones of the other source before them.
        var storedTo = lastStored is null ? DateTimeOffset.MinValue : TimeOf(lastStored);
        var auditedTo = records.SearchedTo ?? DateTimeOffset.MinValue;
        var (i, j) = (0, 0);
        while (page.Entries.Count < page.Limit)
        {
            var row = i < stored.Count ? stored[i] : null;
            var call = j < records.Calls.Count ? records.Calls[j] : null;
            if (row is not null && (call is null ? TimeOf(row.Id) >= auditedTo : TimeOf(row.Id) >= call.At))
            {
                i++;
                position = position with { At = TimeOf(row.Id), Stored = row.Id };
                if (!page.Seen.Contains(row.Id)) page.Entries.Add(new Entry(row, null));
            }
            else if (call is not null && (row is not null || call.At >= storedTo))
            {
                j++;
                position = position with { At = call.At, Audited = call.Cursor };
                if (!page.IsStored(call, known) && page.Seen.Add(call.GenerationId) && !repeated.Contains(call.Id))
                    page.Entries.Add(new Entry(null, call));
            }
            else
            {
                break;
            }
        }
        var isStoredSeen = i == stored.Count;
        var isAuditedSeen = j == records.Calls.Count;
        // Rows and blocks that did not match are not looked at again.
        if (isStoredSeen && lastStored is not null) position = position with { Stored = lastStored };
        if (isAuditedSeen && records.Next is { } next) position = position with { Audited = next };
        return isStoredSeen && isAuditedSeen && lastStored is null && records.Next is null ? null : position;
    }

    /// <summary>Rows of the next piece that match, and the last one that was looked at; null if there are no more.</summary>
    private async Task<(List<GenerationRecord> Rows, string? Last)> StoredAsync(
        Page page, GenerationListPosition position, int wanted, CancellationToken cancellationToken)
    {
        var filter = page.Filter;
        var limit = filter.HasLabels ? Math.Max(LabelRows, wanted) : wanted;
        var (rows, last) = await store.ListAsync(
            new GenerationFilter(page.ProjectId, position.StoredBefore, limit)
            {
                Now = page.Now,
                Status = filter.Status,
                Outcome = filter.Outcome,
                Models = filter.ModelNames,
                Dialect = filter.Dialect,
                CreatedAfter = filter.CreatedAfter,
                CreatedBefore = filter.CreatedBefore,
            },
            cancellationToken);
        var matching = rows.Where(filter.AcceptsLabels).Take(wanted).ToList();
        page.Stored.UnionWith(rows.Select(row => row.Id));
        return (matching, matching.Count == wanted ? matching[^1].Id : last);
    }

    private async Task<AuditedCallPage> AuditedAsync(
        Page page, GenerationListPosition position, int wanted, CancellationToken cancellationToken)
    {
        var filter = page.Filter;
        var outcomes = filter.Outcomes;
        if (audited is null || outcomes is { Count: 0 }) return new AuditedCallPage([], null, null);
        return await audited.ListAsync(
            new AuditedCallFilter(page.ProjectId, wanted)
            {
                Outcomes = outcomes,
                Model = filter.Model,
                Dialect = filter.Dialect,
                From = filter.CreatedAfter,
                To = position.AuditedBefore is { } before && !(before > filter.CreatedBefore) ? before : filter.CreatedBefore,
                EndUser = filter.EndUser,
                Metadata = filter.Metadata,
                After = position.Audited,
            },
            page.Work, cancellationToken);
    }

    // Of several runs, the last one shows how the generation ended. That one may not match the filters, or is on an earlier page.
    private async ValueTask<IReadOnlySet<string>> RanAgainAsync(
        Page page, IReadOnlyList<AuditedCall> calls, IReadOnlySet<string> known, CancellationToken cancellationToken)
    {
        if (!page.MayMissNewest) return FrozenSet<string>.Empty;
        var unsure = calls.Where(
            call => call.MayHaveRunAgain && !page.IsStored(call, known) && !page.Seen.Contains(call.GenerationId)).ToList();
        return unsure.Count == 0 ? FrozenSet<string>.Empty
            : await audited!.RanAgainAsync(page.ProjectId, unsure, page.Work, cancellationToken);
    }

    private static DateTimeOffset TimeOf(string id) => Ids.TimeOf("gen_", id) ?? DateTimeOffset.MinValue;

    /// <param name="ProjectId">The project.</param>
    /// <param name="Filter">What is listed.</param>
    /// <param name="Limit">Maximum number of entries.</param>
    /// <param name="Now">What has expired now is not stored any more, for all pieces alike.</param>
    private sealed record Page(string ProjectId, GenerationListFilter Filter, int Limit, DateTimeOffset Now)
    {
        public List<Entry> Entries { get; } = [];

        /// <summary>What is left of the work of the request.</summary>
        public AuditedWork Work { get; } = new();

        /// <summary>Generations of which a record was met.</summary>
        public HashSet<string> Seen { get; } = new(StringComparer.Ordinal);

        /// <summary>Generations that were stored when their row was read; one may be deleted before its records are.</summary>
        public HashSet<string> Stored { get; } = new(StringComparer.Ordinal);

        public required bool MayMissNewest { get; init; }

        public bool IsStored(AuditedCall call, IReadOnlySet<string> known) =>
            known.Contains(call.GenerationId) || Stored.Contains(call.GenerationId);
    }

    private readonly record struct Entry(GenerationRecord? Stored, AuditedCall? Audited);
}
