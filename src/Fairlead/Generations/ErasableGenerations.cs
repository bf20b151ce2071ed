using System.Data.Common;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Erasure;
using Fairlead.Pipeline;
using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>
/// Stored generations in erasures: their requests, results, details, progress and events. One that waits or runs is cancelled first. The
/// row of an ended one follows when expired generations are deleted. A line of a batch that is not finished keeps its row without content,
/// so that the batch still counts it. Thread-safe.
/// </summary>
internal sealed class ErasableGenerations(IStorage storage, IGenerationStore store, GenerationEndFactory ends, TimeProvider time)
    : IErasureSource, IErasable
{
    private const int FindRows = 200;

    private const int EraseRows = 50;

    /// <summary>Marks that something still runs, in a cursor.</summary>
    private const char Waits = '!';

    private static readonly TimeSpan RunningPause = TimeSpan.FromSeconds(1);

    /// <summary>What a line of a batch has instead of its result.</summary>
    private static readonly byte[] ErasedResult =
        """{"error":{"message":"The result was erased.","type":"invalid_request_error","param":null,"code":"result_expired"}}"""u8.ToArray();

    public string Name => "jobs";

    public int Order => 100;

    public IReadOnlyList<string> Tables { get; } = ["generations", "generation_events"];

    public async Task<FoundCalls> FindAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var selector = target.Selector;
        if (selector.Kind == ErasureKind.Generation)
        {
            var project = await connection.TextAsync(
                $"SELECT project_id FROM generations WHERE id = @id{(selector.OrganizationId is null ? "" : " AND organization_id = @organization")}",
                [("@id", storage.Sql.Storable(selector.TargetId!)), ("@organization", selector.OrganizationId)], cancellationToken);
            return new FoundCalls(project is null ? [] : [new FoundCall(selector.TargetId!, project)], null);
        }
        var found = new List<FoundCall>();
        var (last, rows) = (cursor, 0);
        // A page of ids first, whatever they are, so that the cost of a portion does not depend on how few of them match.
        var matches = MatchOf(selector);
        // One row in memory at a time: requests may be large.
        await connection.ReadInOrderAsync(
            $"""
            SELECT id, project_id, dialect, CASE WHEN {matches} THEN 1 ELSE 0 END AS matches,
                CASE WHEN {matches} AND @kind = 'end_user' THEN request ELSE NULL END AS request
            FROM generations WHERE {(selector.Kind == ErasureKind.Key || selector.ProjectId is null ? "" : "project_id = @project AND ")}id > @after AND created_at <= @until
            ORDER BY id LIMIT {FindRows}
            """,
            [
                ("@after", cursor), ("@project", selector.ProjectId), ("@organization", selector.OrganizationId),
                ("@target", selector.TargetId), ("@until", target.Until), ("@kind", selector.Kind.ToWire()),
            ],
            async row =>
            {
                var (id, project) = (row.Text("id"), row.Text("project_id"));
                var isMessages = row.Text("dialect") == MessagesDialect.Name;
                (last, rows) = (id, rows + 1);
                if (!row.Bool("matches")) return true;
                if (selector.Kind == ErasureKind.EndUser)
                {
                    var request = await row.BytesOrNullAsync("request", cancellationToken);
                    if (request is null || !selector.IsEndUser(RequestEndUser.Of(request, isMessages))) return true;
                }
                found.Add(new FoundCall(id, project));
                return true;
            },
            cancellationToken);
        return new FoundCalls(found, rows < FindRows ? null : last);
    }

    public async Task<ErasureStep> EraseAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken)
    {
        var (waits, after) = (cursor.StartsWith(Waits), cursor.TrimStart(Waits));
        List<string> ids;
        List<(string Id, string Project, string Status, bool IsOpenLine)> rows;
        await using (var connection = await storage.OpenAsync(cancellationToken))
        {
            ids = await target.NextAsync(connection, after, EraseRows, cancellationToken);
            if (ids.Count == 0) return waits ? new ErasureStep(0, "", RunningPause) : new ErasureStep(0, null);
            rows = await connection.QueryAsync(
                """
                SELECT id, project_id, status, CASE WHEN batch_id IN (SELECT b.id FROM batches b WHERE b.ended_at IS NULL) THEN 1 ELSE 0 END AS open_line
                FROM generations WHERE id IN (SELECT generation_id FROM erased_generations
                    WHERE erasure_id = @erasure AND generation_id > @after AND generation_id <= @last)
                """,
                [("@erasure", target.Id), ("@after", after), ("@last", ids[^1])],
                row => (row.Text("id"), row.Text("project_id"), row.Text("status"), row.Bool("open_line")), cancellationToken);
        }
        var erased = 0;
        foreach (var (id, project, status, isOpenLine) in rows)
        {
            if (GenerationStatusNames.Parse(status) is GenerationStatus.Queued or GenerationStatus.InProgress
                && !await CancelAsync(project, id, cancellationToken))
            {
                waits = true;
                continue;
            }
            erased += await EraseAsync(id, isOpenLine, cancellationToken);
        }
        var next = (waits ? Waits.ToString() : "") + ids[^1];
        return new ErasureStep(erased, next);
    }

    private static string MatchOf(ErasureSelector selector) => selector.Kind switch
    {
        ErasureKind.Key => selector.OrganizationId is null ? "key_id = @target" : "key_id = @target AND organization_id = @organization",
        ErasureKind.Project => "project_id = @target",
        _ => selector.OrganizationId is null ? "1 = 1" : "organization_id = @organization",
    };

    // Whether it has ended.
    private async Task<bool> CancelAsync(string project, string id, CancellationToken cancellationToken)
    {
        if (await store.FindAsync(project, id, cancellationToken) is not { IsFinal: false } record) return true;
        var (outcome, error) = CallOutcome.Of(CancellationReason.Requested);
        var before = await store.CancelAsync(project, id, ends.WithoutRun(record, outcome, error), cancellationToken);
        if (before == GenerationStatus.Queued) storage.Notifier.Announce(JobNotices.Changed, id);
        if (before == GenerationStatus.InProgress) storage.Notifier.Announce(JobNotices.Cancel, id);
        return before is not GenerationStatus.InProgress;
    }

    private Task<int> EraseAsync(string id, bool isOpenLine, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var context = RequestContext.Empty with { CustomId = isOpenLine ? "erased" : null };
        var count = await connection.ExecuteAsync(
            $"""
            UPDATE generations SET request = @empty, context = @context, result = @result, details = NULL, progress = NULL, webhook_url = NULL,
                event_count = 0{(isOpenLine ? "" : ", expires_at = CASE WHEN expires_at < @now THEN expires_at ELSE @now END")}
            WHERE id = @id AND ended_at IS NOT NULL
                AND (LENGTH(request) > 0 OR details IS NOT NULL OR progress IS NOT NULL OR event_count > 0 OR webhook_url IS NOT NULL)
            """,
            [
                ("@empty", Array.Empty<byte>()), ("@context", JsonSerializer.SerializeToUtf8Bytes(context, GenerationJsonContext.Default.RequestContext)),
                ("@result", isOpenLine ? ErasedResult : null), ("@now", time.GetUtcNow()), ("@id", id),
            ],
            cancellationToken);
        count = Math.Max(count, Math.Min(1, await DeleteEventsAsync(connection, id, cancellationToken)));
        await transaction.CommitAsync(cancellationToken);
        return count;
    });

    private static Task<int> DeleteEventsAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        connection.ExecuteAsync("DELETE FROM generation_events WHERE generation_id = @id", [("@id", id)], cancellationToken);
}
