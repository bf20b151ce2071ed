using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Erasure;

/// <summary>The SQL of <c>erasures</c> and the tables of their progress.</summary>
internal static class ErasureTable
{
    private const string Columns =
        "id, status, kind, target_id, project_id, organization_id, salt, user_hash, label, what, reason, created_at, completed_at, step, "
        + "step_cursor, failures, error, waiting_for, rounds";

    public static async Task InsertAsync(DbConnection connection, ErasureRow row, CancellationToken cancellationToken)
    {
        await connection.ExecuteAsync(
            """
            INSERT INTO erasures (id, status, kind, target_id, project_id, organization_id, salt, user_hash, label, what, reason, created_at,
                step, step_cursor)
            VALUES (@id, @status, @kind, @target, @project, @organization, @salt, @hash, @label, @what, @reason, @created, '', '')
            """,
            [
                ("@id", row.Id), ("@status", row.Status), ("@kind", row.Selector.Kind.ToWire()), ("@target", row.Selector.TargetId),
                ("@project", row.Selector.ProjectId), ("@organization", row.Selector.OrganizationId), ("@salt", row.Selector.Salt),
                ("@hash", row.Selector.UserHash), ("@label", (long)row.Selector.Label), ("@what", row.What), ("@reason", row.Reason),
                ("@created", row.CreatedAt),
            ],
            cancellationToken);
        // What is in the chains by now is found by the erasure itself; later records are compared with all erasures as they arrive.
        await connection.ExecuteAsync(
            """
            INSERT INTO erasure_positions (node, sequence) SELECT node, sequence FROM audit_chains WHERE sequence >= 0
            ON CONFLICT (node) DO NOTHING
            """,
            [], cancellationToken);
    }

    public static Task<ErasureRow?> FindAsync(DbConnection connection, string id, CancellationToken cancellationToken) =>
        connection.FirstOrDefaultAsync($"SELECT {Columns} FROM erasures WHERE id = @id", [("@id", id)], Read, cancellationToken);

    /// <summary>In the order of their creation.</summary>
    /// <param name="connection">Reads.</param>
    /// <param name="after">The id of the last one on the page before; empty for the first page.</param>
    /// <param name="organizationId">Only of this organization; null for all.</param>
    /// <param name="status">Only with this status; null for all.</param>
    /// <param name="limit">How many.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    public static Task<List<ErasureRow>> ListAsync(
        DbConnection connection, string after, string? organizationId, string? status, int limit, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            $"""
            SELECT {Columns} FROM erasures WHERE id > @after
                {(organizationId is null ? "" : "AND organization_id = @organization")} {(status is null ? "" : "AND status = @status")}
            ORDER BY id LIMIT @limit
            """,
            [("@after", after), ("@organization", organizationId), ("@status", status), ("@limit", (long)limit)], Read, cancellationToken);

    /// <summary>How many things each store has lost to an erasure.</summary>
    public static async Task<SortedDictionary<string, long>> CountsAsync(
        DbConnection connection, string id, CancellationToken cancellationToken)
    {
        var rows = await connection.QueryAsync(
            "SELECT store, count FROM erasure_counts WHERE erasure_id = @id", [("@id", id)],
            row => (Store: row.Text("store"), Count: row.Int64("count")), cancellationToken);
        var counts = new SortedDictionary<string, long>(StringComparer.Ordinal);
        foreach (var (store, count) in rows) counts[store] = count;
        return counts;
    }

    public static Task CountAsync(DbConnection connection, string id, string store, long count, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            """
            INSERT INTO erasure_counts (erasure_id, store, count) VALUES (@id, @store, @count)
            ON CONFLICT (erasure_id, store) DO UPDATE SET count = erasure_counts.count + excluded.count
            """,
            [("@id", id), ("@store", store), ("@count", count)], cancellationToken);

    /// <summary>Something could not be erased: the erasure goes on and then counts as failed. The worst that happened stays noted.</summary>
    public static Task NoteErrorAsync(DbConnection connection, string id, string error, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            $"UPDATE erasures SET error = @error WHERE id = @id AND (error IS NULL OR error IN ({Harmless}))",
            [("@error", error), ("@id", id)], cancellationToken);

    /// <summary>
    /// Starts all failed erasures again from the beginning, such as after a restart, or when another one is requested: what was in the way
    /// may be over.
    /// </summary>
    public static Task ResumeFailedAsync(DbConnection connection, CancellationToken cancellationToken) => connection.ExecuteAsync(
        """
        UPDATE erasures SET status = 'queued', step = '', step_cursor = '', failures = 0, error = NULL, waiting_for = NULL, rounds = 0,
            completed_at = NULL, next_at = 0
        WHERE status = 'failed'
        """,
        [], cancellationToken);

    /// <summary>Notes calls that belong to an erasure, in the transaction that is open on the connection.</summary>
    public static async Task AddAsync(
        DbConnection connection, ErasureRow erasure, IReadOnlyList<FoundCall> calls, CancellationToken cancellationToken)
    {
        foreach (var call in calls)
        {
            await connection.ExecuteAsync(
                """
                INSERT INTO erased_generations (erasure_id, generation_id, project_id) VALUES (@erasure, @id, @project)
                ON CONFLICT (erasure_id, generation_id) DO NOTHING
                """,
                [("@erasure", erasure.Id), ("@id", call.GenerationId), ("@project", call.ProjectId)], cancellationToken);
        }
        if (!erasure.RemovesRecords) return;
        foreach (var block in calls.Where(call => call.Block is not null).Select(call => call.Block!.Value).Distinct())
        {
            await connection.ExecuteAsync(
                """
                INSERT INTO erasure_blocks (erasure_id, block, node) VALUES (@erasure, @block, @node)
                ON CONFLICT (erasure_id, block) DO NOTHING
                """,
                [("@erasure", erasure.Id), ("@block", block.Number), ("@node", block.Node)], cancellationToken);
        }
    }

    /// <summary>When the last erasure was requested; null if there is none.</summary>
    public static Task<DateTimeOffset?> LastAsync(DbConnection connection, CancellationToken cancellationToken) =>
        connection.FirstOrDefaultAsync(
            "SELECT created_at FROM erasures ORDER BY created_at DESC LIMIT 1", [], row => row.TimeOrNull("created_at"), cancellationToken);

    /// <summary>All erasures that a record of a call may belong to, however long ago they were made, and however they ended.</summary>
    public static Task<List<ErasureRow>> AllAsync(DbConnection connection, CancellationToken cancellationToken) =>
        connection.QueryAsync($"SELECT {Columns} FROM erasures", [], Read, cancellationToken);

    internal static ErasureRow Read(SqlRow row) => new()
    {
        Id = row.Text("id"),
        Status = row.Text("status"),
        Selector = new ErasureSelector(
            ErasureKindName.Parse(row.Text("kind")), row.TextOrNull("target_id"), row.TextOrNull("project_id"), row.TextOrNull("organization_id"))
        {
            Salt = row.BytesOrNull("salt"),
            UserHash = row.BytesOrNull("user_hash"),
            Label = (uint)row.Int64("label"),
        },
        What = row.Text("what"),
        Reason = row.TextOrNull("reason"),
        CreatedAt = row.Time("created_at"),
        CompletedAt = row.TimeOrNull("completed_at"),
        Step = row.Text("step"),
        Cursor = row.Text("step_cursor"),
        Failures = row.Int32("failures"),
        Error = row.TextOrNull("error"),
        WaitingFor = row.TextOrNull("waiting_for"),
        Rounds = row.Int32("rounds"),
    };

    internal static string AllColumns => Columns;

    /// <summary>SQL: the errors with which an erasure is completed.</summary>
    internal const string Harmless = "'" + ErasureRow.NotFound + "', '" + ErasureRow.NotCleaned + "'";
}
