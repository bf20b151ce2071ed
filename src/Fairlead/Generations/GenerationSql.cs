using System.Text.Json;
using Fairlead.Access;
using Fairlead.Limits.Budgets;
using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>
/// What the statements on generations share: the columns of a record, and the clock by which leases and pauses are measured. Thread-safe.
/// </summary>
internal sealed class GenerationSql(IStorage storage, TimeProvider time)
{
    /// <summary>The columns that <see cref="Read"/> needs. Without the bodies, but with their lengths.</summary>
    public const string Columns = """
        id, organization_id, project_id, key_id, request_id, dialect, endpoint, model, class_rank, status, outcome,
        created_at, available_at, started_at, ended_at, expires_at, deadline_at, runs, cancel_requested, result_status, returns,
        event_count, batch_id, batch_line, context, suspicion,
        hold_state, hold_model, hold_tokens, hold_pico, hold_cap, hold_node, hold_process, LENGTH(request) AS request_length,
        COALESCE(LENGTH(result), 0) + COALESCE(LENGTH(details), 0) + COALESCE(LENGTH(progress), 0) AS result_length
        """;

    /// <summary>Condition that a statement of a run names, so that it does nothing once another run has the generation.</summary>
    public const string IsHeldByRun = "id = @id AND lease_owner = @owner AND runs = @run AND status = 'in_progress'";

    private static readonly string[] Classes = [.. CallClasses.All];

    private readonly SteadyClock _clock = new(time);

    /// <summary>
    /// Condition: the pause of a queued generation has ended. One that never paused depends on no clock, because the clock that gave it its
    /// time may have been set back since.
    /// </summary>
    public string IsAvailable => $"(available_at <= created_at OR available_at <= {storage.Sql.Clock})";

    /// <summary>End of a lease that starts now. Needs the values <see cref="Lease"/> and <see cref="Clock"/>.</summary>
    public string LeaseEnd => $"{storage.Sql.Clock} + @lease";

    /// <summary>The time of <see cref="SqlFlavour.Clock"/>. PostgreSQL has its own, and ignores this value.</summary>
    public (string Name, SqlValue Value) Clock => ("@clock", _clock.UtcNow);

    public static (string Name, SqlValue Value) Lease(TimeSpan lease) => ("@lease", (long)lease.TotalMilliseconds);

    /// <summary>Order of a class in the queue: a class with a lower number is first.</summary>
    public static int RankOf(string schedulingClass) => Math.Max(0, Array.IndexOf(Classes, schedulingClass));

    /// <summary>Reads <see cref="Columns"/> in their order, as <see cref="SqlExtensions.FirstInOrderAsync"/> needs it.</summary>
    public static GenerationRecord Read(SqlRow row) => new()
    {
        Id = row.Text("id"),
        OrganizationId = row.Text("organization_id"),
        ProjectId = row.Text("project_id"),
        KeyId = row.Text("key_id"),
        RequestId = row.Text("request_id"),
        Dialect = row.Text("dialect"),
        Endpoint = row.Text("endpoint"),
        Model = row.Text("model"),
        Class = Classes[row.Int64("class_rank")],
        Status = GenerationStatusNames.Parse(row.Text("status")),
        Outcome = row.TextOrNull("outcome") is { } outcome ? GenerationStatusNames.ParseOutcome(outcome) : null,
        CreatedAt = row.Time("created_at"),
        AvailableAt = row.Time("available_at"),
        StartedAt = row.TimeOrNull("started_at"),
        EndedAt = row.TimeOrNull("ended_at"),
        ExpiresAt = row.TimeOrNull("expires_at"),
        Deadline = row.TimeOrNull("deadline_at"),
        Runs = row.Int32("runs"),
        CancelRequested = row.Bool("cancel_requested"),
        ResultStatus = row.Int32("result_status"),
        Returns = row.Int32("returns"),
        EventCount = row.Int32("event_count"),
        Batch = row.TextOrNull("batch_id") is { } batch ? new BatchLinePosition(batch, row.Int32("batch_line")) : null,
        Context = JsonSerializer.Deserialize(row.Bytes("context"), GenerationJsonContext.Default.RequestContext) ?? RequestContext.Empty,
        Suspicion = row.Int32("suspicion"),
        Hold = HoldOf(row),
        RequestBytes = row.Int64("request_length"),
        ResultBytes = row.Int64("result_length"),
        Request = [],
    };

    private static JobHold? HoldOf(SqlRow row)
    {
        if (row.Int32("hold_state") == 0) return null;
        var hold = new JobHold(
            row.Text("hold_model"), row.Int64("hold_tokens"), row.Int64("hold_pico"), (int?)row.Int64OrNull("hold_cap"));
        return row.TextOrNull("hold_node") is { } node ? hold with { Holder = new BudgetHolder(node, row.Int64("hold_process")) } : hold;
    }
}
