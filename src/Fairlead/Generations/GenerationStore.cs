using System.Globalization;
using Fairlead.Conversation;
using Fairlead.Storage;
using Fairlead.Webhooks;

namespace Fairlead.Generations;

/// <inheritdoc cref="IGenerationStore"/>
internal sealed class GenerationStore(IStorage storage, IWebhookOutbox outbox, TimeProvider time) : IGenerationStore
{
    /// <summary>An id is made a moment before or after the time at which its generation was created; clocks may be set meanwhile.</summary>
    private static readonly TimeSpan MaxIdDifference = TimeSpan.FromHours(1);

    // Ids have no earlier and no later times.
    private static readonly DateTimeOffset Earliest = DateTimeOffset.UnixEpoch + MaxIdDifference;
    private static readonly DateTimeOffset Latest = DateTimeOffset.MaxValue - MaxIdDifference;

    public Task<GenerationRecord?> FindAsync(
        string projectId, string id, GenerationBodies bodies, Action<long>? count, CancellationToken cancellationToken) =>
        FindAsync(projectId, id, bodies, count, "(expires_at IS NULL OR expires_at > @now)", cancellationToken);

    public Task<GenerationRecord?> FindExpiredAsync(
        string projectId, string id, GenerationBodies bodies, Action<long>? count, CancellationToken cancellationToken) =>
        FindAsync(projectId, id, bodies, count, "expires_at <= @now AND result IS NOT NULL", cancellationToken);

    private async Task<GenerationRecord?> FindAsync(
        string projectId, string id, GenerationBodies bodies, Action<long>? count, string condition, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.FirstInOrderAsync(
            $"SELECT {GenerationSql.Columns}{ColumnsOf(bodies)} FROM generations WHERE id = @id AND project_id = @project AND {condition}",
            [("@id", storage.Sql.Storable(id)), ("@project", projectId), ("@now", time.GetUtcNow())],
            row => ReadAsync(row, bodies, count, cancellationToken), cancellationToken);
    }

    // Column by column. The lengths are first, so that a body is counted before it is in memory.
    private static async ValueTask<GenerationRecord> ReadAsync(
        SqlRow row, GenerationBodies bodies, Action<long>? count, CancellationToken cancellationToken)
    {
        var record = GenerationSql.Read(row);
        if (bodies.HasFlag(GenerationBodies.Request))
        {
            count?.Invoke(record.RequestBytes);
            record = record with { Request = await row.BytesOrNullAsync("request", cancellationToken) ?? [] };
        }
        if (bodies.HasFlag(GenerationBodies.Result))
        {
            if (record.ResultBytes > 0) count?.Invoke(record.ResultBytes);
            record = record with
            {
                Result = await row.BytesOrNullAsync("result", cancellationToken),
                Details = await row.BytesOrNullAsync("details", cancellationToken),
                Progress = await row.BytesOrNullAsync("progress", cancellationToken),
            };
        }
        return record;
    }

    private static string ColumnsOf(GenerationBodies bodies) => bodies switch
    {
        GenerationBodies.None => "",
        GenerationBodies.Request => ", request",
        GenerationBodies.Result => ", result, details, progress",
        _ => ", request, result, details, progress",
    };

    public async Task<GenerationRows> ListAsync(GenerationFilter filter, CancellationToken cancellationToken)
    {
        var where = "project_id = @project";
        var values = new List<(string, SqlValue)> { ("@project", filter.ProjectId), ("@now", filter.Now ?? time.GetUtcNow()) };
        // By the order of the index, first the ids of the time.
        if (filter.CreatedAfter is { } from && from > Earliest)
            Add("id >= @first", "@first", storage.Sql.Storable(Ids.FirstAt("gen_", from - MaxIdDifference)));
        var before = filter.CreatedBefore is { } to && to > Earliest && to < Latest ? Ids.FirstAt("gen_", to + MaxIdDifference) : null;
        if (filter.Before is { } position && (before is null || string.CompareOrdinal(position, before) < 0)) before = position;
        if (before is not null) Add("id < @before", "@before", storage.Sql.Storable(before));
        await using var connection = await storage.OpenAsync(cancellationToken);
        string? windowEnd = null;
        var skipped = (filter.Window - 1).ToString(CultureInfo.InvariantCulture);
        if (filter.IsSelective)
        {
            windowEnd = await connection.TextAsync(
                $"SELECT id FROM generations WHERE {where} ORDER BY id DESC LIMIT 1 OFFSET {skipped}", [.. values],
                cancellationToken);
            if (windowEnd is not null) Add("id >= @window", "@window", storage.Sql.Storable(windowEnd));
        }

        where += " AND (expires_at IS NULL OR expires_at > @now)";
        if (filter.Status is { } status) Add("status = @status", "@status", status.ToWire());
        if (filter.Outcome is { } outcome) Add("outcome = @outcome", "@outcome", outcome.ToWire());
        if (filter.Dialect is { } dialect) Add("dialect = @dialect", "@dialect", storage.Sql.Storable(dialect));
        if (filter.Models is { } models) where += " AND " + AnyOf("model", models, values);
        if (filter.CreatedAfter is { } since) Add("created_at >= @since", "@since", since);
        if (filter.CreatedBefore is { } until) Add("created_at < @until", "@until", until);
        var limit = filter.Limit.ToString(CultureInfo.InvariantCulture);
        var rows = await connection.QueryAsync(
            $"SELECT {GenerationSql.Columns} FROM generations WHERE {where} ORDER BY id DESC LIMIT {limit}",
            [.. values], GenerationSql.Read, cancellationToken);
        return new GenerationRows(rows, rows.Count == filter.Limit ? rows[^1].Id : windowEnd);

        void Add(string condition, string name, SqlValue value)
        {
            where += " AND " + condition;
            values.Add((name, value));
        }
    }

    public async Task<IReadOnlySet<string>> KnownAsync(
        string projectId, IReadOnlyCollection<string> ids, DateTimeOffset now, CancellationToken cancellationToken)
    {
        if (ids.Count == 0) return new HashSet<string>();
        var values = new List<(string, SqlValue)> { ("@project", projectId), ("@now", now) };
        var condition = AnyOf("id", ids, values);
        await using var connection = await storage.OpenAsync(cancellationToken);
        var known = await connection.QueryAsync(
            $"SELECT id FROM generations WHERE {condition} AND project_id = @project AND (expires_at IS NULL OR expires_at > @now)",
            [.. values], row => row.Text("id"), cancellationToken);
        return known.ToHashSet(StringComparer.Ordinal);
    }

    private string AnyOf(string column, IEnumerable<string> wanted, List<(string, SqlValue)> values)
    {
        var names = new List<string>();
        foreach (var value in wanted)
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"@{column}{names.Count}");
            names.Add(name);
            values.Add((name, storage.Sql.Storable(value)));
        }
        return $"{column} IN ({string.Join(", ", names)})";
    }

    public async Task<int> PositionAsync(GenerationRecord record, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var before = await connection.Int64Async(
            "SELECT COUNT(*) FROM generations WHERE status = 'queued' AND (class_rank, created_at, id) < (@class, @created, @id)",
            [("@class", GenerationSql.RankOf(record.Class)), ("@created", record.CreatedAt), ("@id", record.Id)], cancellationToken);
        return (int)(before ?? 0);
    }

    public Task<GenerationStatus?> CancelAsync(
        string projectId, string id, GenerationEnd end, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync<GenerationStatus?>(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var found = await connection.TextAsync(
            "SELECT status FROM generations WHERE id = @id AND project_id = @project AND (expires_at IS NULL OR expires_at > @now)"
            + storage.Sql.ForUpdate,
            [("@id", storage.Sql.Storable(id)), ("@project", projectId), ("@now", time.GetUtcNow())], cancellationToken);
        if (found is null) return null;
        var status = GenerationStatusNames.Parse(found);
        var events = 0;
        if (status == GenerationStatus.Queued)
        {
            events = await GenerationEnds.WriteAsync(connection, transaction, outbox, id, end, "id = @id", [], cancellationToken) ?? 0;
        }
        else if (status == GenerationStatus.InProgress)
        {
            await connection.ExecuteAsync("UPDATE generations SET cancel_requested = 1 WHERE id = @id", [("@id", id)], cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
        if (events > 0) outbox.Announce();
        return status;
    });
}
