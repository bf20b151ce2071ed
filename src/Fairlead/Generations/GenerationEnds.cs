using System.Data.Common;
using Fairlead.Conversation;
using Fairlead.Generations.Events;
using Fairlead.Storage;
using Fairlead.Webhooks;

namespace Fairlead.Generations;

/// <summary>Stores the ends of runs, with their webhook deliveries. Thread-safe.</summary>
internal sealed class GenerationEnds(IStorage storage, IWebhookOutbox outbox, TimeProvider time)
{
    /// <summary>
    /// Ends a run, with its last events. False if another run has the generation; then nothing was written. True also if this very end is
    /// in the database already, so that a caller may repeat the call.
    /// </summary>
    public Task<bool> EndAsync(
        string id, string owner, int run, GenerationEnd end, NewEvents last, CancellationToken cancellationToken) =>
        StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        if (last.Events.Count > 0
            && !await GenerationEventStore.AppendAsync(connection, owner, new RunEvents(id, run, last), cancellationToken))
        {
            return await HasEndedAsync(connection, id, run, end, cancellationToken);
        }
        var events = await WriteAsync(
            connection, transaction, outbox, id, end, GenerationSql.IsHeldByRun, [("@owner", owner), ("@run", run)], cancellationToken);
        if (events is null) return await HasEndedAsync(connection, id, run, end, cancellationToken);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        if (events > 0) outbox.Announce();
        return true;
    }, time);

    /// <summary>Writes an end and its webhook deliveries in one transaction.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="transaction">The transaction of the caller.</param>
    /// <param name="outbox">Where the deliveries go.</param>
    /// <param name="id">The generation.</param>
    /// <param name="end">Its end.</param>
    /// <param name="condition">SQL condition under which it is ended.</param>
    /// <param name="values">Values of the condition, except the id.</param>
    /// <param name="cancellationToken">Stops the statements.</param>
    /// <returns>Number of deliveries; null if nothing was ended.</returns>
    public static async Task<int?> WriteAsync(
        DbConnection connection, DbTransaction transaction, IWebhookOutbox outbox, string id, GenerationEnd end,
        string condition, (string Name, SqlValue Value)[] values, CancellationToken cancellationToken)
    {
        var ended = await connection.FirstOrDefaultAsync(
            $"""
            UPDATE generations SET status = @status, outcome = @outcome, ended_at = @ended, expires_at = @expires,
                result_status = @result_status, result = @result, details = @details, progress = NULL,
                lease_owner = NULL, lease_until = NULL
            WHERE {condition} RETURNING project_id, dialect, model, created_at, webhook_url, batch_id
            """,
            [.. ValuesOf(id, end), .. values],
            row => new Ended(
                row.Text("project_id"), row.Text("dialect"), row.Text("model"), row.Time("created_at"), row.TextOrNull("webhook_url"),
                !row.IsNull("batch_id")),
            cancellationToken);
        if (ended is null) return null;
        // A batch has one delivery for its own end, and none for each of its lines.
        if (ended.IsBatchLine) return 0;
        var webhook = GenerationWebhookPayload.Of(
            id, end, ended.ProjectId, ended.Dialect, ended.Model, ended.CreatedAt, ended.WebhookUrl);
        return await outbox.AddAsync(connection, transaction, webhook, cancellationToken);
    }

    // Another run has another number, and another end of the same run has another time or result.
    private async Task<bool> HasEndedAsync(
        DbConnection connection, string id, int run, GenerationEnd end, CancellationToken cancellationToken)
    {
        var found = await connection.Int64Async(
            """
            SELECT 1 FROM generations WHERE id = @id AND runs = @run AND status = @status AND outcome = @outcome AND ended_at = @ended
                AND result_status = @result_status AND result = @result
            """,
            [.. ValuesOf(id, end), ("@run", run)], cancellationToken);
        if (found is null) return false;
        outbox.Announce();
        return true;
    }

    private static (string Name, SqlValue Value)[] ValuesOf(string id, GenerationEnd end) =>
    [
        ("@id", id), ("@status", end.Status.ToWire()), ("@outcome", end.Outcome.ToWire()), ("@ended", end.EndedAt),
        ("@expires", end.ExpiresAt), ("@result_status", end.ResultStatus), ("@result", end.Result), ("@details", end.Details),
    ];

    private sealed record Ended(
        string ProjectId, string Dialect, string Model, DateTimeOffset CreatedAt, string? WebhookUrl, bool IsBatchLine);
}
