using System.Data;
using System.Data.Common;
using System.Globalization;
using Fairlead.Storage;

namespace Fairlead.Webhooks;

/// <summary>
/// Deliveries in the database. Each is leased by one process at a time; what an attempt brought is only noted while the lease still stands,
/// so an attempt may be made twice (at-least-once) but is never lost. Thread-safe.
/// </summary>
/// <remarks>All members throw what <see cref="StorageFaults"/> tells apart when the database is away.</remarks>
internal sealed class WebhookDeliveryStore(IStorage storage)
{
    /// <summary>Attempts at once at one receiver, so that a slow one does not hold up the others.</summary>
    public const int MostAtOneReceiver = 4;

    private const string AttemptColumns = "number, at, duration_ms, status_code, error";

    /// <summary>Adds one within a transaction of the caller.</summary>
    public static async Task AddAsync(DbConnection connection, DbTransaction transaction, string projectId, WebhookDelivery delivery, CancellationToken cancellationToken)
    {
        await using var command = Command(connection, transaction, """
            INSERT INTO webhook_deliveries (id, webhook_id, project_id, url, event_id, type, payload, status, attempts, step, next_at, created_at)
            VALUES (@id, @webhook, @project, @url, @event, @type, @payload, 'pending', 0, 0, @next, @created)
            """);
        command.AddParameter("@id", delivery.Id);
        command.AddParameter("@webhook", delivery.WebhookId);
        command.AddParameter("@project", projectId);
        command.AddParameter("@url", DbType.String, delivery.Url);
        command.AddParameter("@event", delivery.EventId);
        command.AddParameter("@type", delivery.Type);
        command.AddParameter("@payload", delivery.Payload);
        command.AddParameter("@next", Ms(delivery.NextAt));
        command.AddParameter("@created", Ms(delivery.CreatedAt));
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    public async Task<WebhookDelivery?> FindAsync(string projectId, string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = Command(connection, null, $"SELECT {WebhookRow.Delivery} FROM webhook_deliveries WHERE id = @id AND project_id = @project");
        command.AddParameter("@id", storage.Sql.Storable(id));
        command.AddParameter("@project", projectId);
        var rows = await ReadAsync(command, WebhookRow.ReadDelivery, cancellationToken);
        return rows.Count == 0 ? null : rows[0];
    }

    /// <summary>Newest first.</summary>
    /// <param name="projectId">Those of this project.</param>
    /// <param name="webhookId">Only of this webhook, or null.</param>
    /// <param name="status">Only in this state, or null.</param>
    /// <param name="before">Only those before this id; empty for all.</param>
    /// <param name="limit">At most so many.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task<List<WebhookDelivery>> ListAsync(string projectId, string? webhookId, string? status, string before, int limit, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var where = "project_id = @project";
        if (webhookId is not null) where += " AND webhook_id = @webhook";
        if (status is not null) where += " AND status = @status";
        if (before.Length > 0) where += " AND id < @before";
        await using var command = Command(connection, null, $"SELECT {WebhookRow.Delivery} FROM webhook_deliveries WHERE {where} ORDER BY id DESC LIMIT {limit.ToString(CultureInfo.InvariantCulture)}");
        command.AddParameter("@project", projectId);
        if (webhookId is not null) command.AddParameter("@webhook", storage.Sql.Storable(webhookId));
        if (status is not null) command.AddParameter("@status", storage.Sql.Storable(status));
        if (before.Length > 0) command.AddParameter("@before", before);
        return await ReadAsync(command, WebhookRow.ReadDelivery, cancellationToken);
    }

    /// <summary>The attempts of a delivery, in their order.</summary>
    public async Task<List<WebhookAttempt>> HistoryAsync(string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = Command(connection, null, $"SELECT {AttemptColumns} FROM webhook_attempts WHERE delivery_id = @id ORDER BY number");
        command.AddParameter("@id", id);
        return await ReadAsync(command, WebhookRow.ReadAttempt, cancellationToken);
    }

    /// <summary>Begins a new round of the schedule now, whatever became of the one before; null when there is none of this id.</summary>
    public async Task<WebhookDelivery?> RedeliverAsync(string projectId, string id, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = Command(connection, null, $"""
            UPDATE webhook_deliveries SET status = 'pending', step = 0, next_at = @now, ended_at = NULL
            WHERE id = @id AND project_id = @project
            RETURNING {WebhookRow.Delivery}
            """);
        command.AddParameter("@now", Ms(now));
        command.AddParameter("@id", storage.Sql.Storable(id));
        command.AddParameter("@project", projectId);
        var rows = await ReadAsync(command, WebhookRow.ReadDelivery, cancellationToken);
        return rows.Count == 0 ? null : rows[0];
    }

    /// <summary>Takes up to <paramref name="most"/> that are due, with the webhooks they belong to. No two callers get the same one while a lease lasts.</summary>
    public async Task<IReadOnlyList<(WebhookDelivery Delivery, Webhook Webhook)>> LeaseAsync(string owner, DateTimeOffset now, DateTimeOffset until, int most, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        // The usual look finds nothing, and must not wait for a writer to find that out.
        await using (var due = Command(connection, null, "SELECT 1 FROM webhook_deliveries WHERE status = 'pending' AND next_at <= @now LIMIT 1"))
        {
            due.AddParameter("@now", Ms(now));
            if (await due.ExecuteScalarAsync(cancellationToken) is null) return [];
        }
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        // Each receiver's are numbered, those on their way first; what lies beyond its share waits.
        await using var lease = Command(connection, transaction, $"""
            UPDATE webhook_deliveries SET lease_owner = @owner, lease_until = @until
            WHERE id IN (
                SELECT d.id FROM webhook_deliveries d
                WHERE d.status = 'pending' AND (d.lease_until IS NULL OR d.lease_until <= @now) AND d.id IN (
                    SELECT id FROM (
                        SELECT p.id, ROW_NUMBER() OVER (
                            PARTITION BY p.webhook_id, COALESCE(p.url, '')
                            ORDER BY CASE WHEN p.lease_until > @now THEN 0 ELSE 1 END, p.next_at, p.id) AS place
                        FROM webhook_deliveries p JOIN webhooks w ON w.id = p.webhook_id
                        WHERE p.status = 'pending' AND p.next_at <= @now AND w.status = 'enabled' AND (w.not_before <= @now OR p.url IS NOT NULL)
                    ) ranked WHERE place <= {MostAtOneReceiver.ToString(CultureInfo.InvariantCulture)})
                ORDER BY d.next_at, d.id LIMIT {most.ToString(CultureInfo.InvariantCulture)}{storage.Sql.ForUpdateSkipLocked})
            RETURNING {WebhookRow.Delivery}
            """);
        lease.AddParameter("@owner", owner);
        lease.AddParameter("@until", Ms(until));
        lease.AddParameter("@now", Ms(now));
        var taken = await ReadAsync(lease, WebhookRow.ReadDelivery, cancellationToken);
        var webhooks = new Dictionary<string, Webhook>(StringComparer.Ordinal);
        foreach (var id in taken.Select(delivery => delivery.WebhookId).Distinct())
        {
            await using var find = Command(connection, transaction, $"SELECT {WebhookRow.Webhook} FROM webhooks WHERE id = @id");
            find.AddParameter("@id", id);
            foreach (var webhook in await ReadAsync(find, WebhookRow.ReadWebhook, cancellationToken)) webhooks[id] = webhook;
        }
        await transaction.CommitAsync(cancellationToken);
        return [.. taken.Where(delivery => webhooks.ContainsKey(delivery.WebhookId)).OrderBy(delivery => delivery.NextAt).ThenBy(delivery => delivery.Id, StringComparer.Ordinal).Select(delivery => (delivery, webhooks[delivery.WebhookId]))];
    }

    /// <summary>
    /// Notes what an attempt brought and what follows from it. False when the lease was lost, or the delivery is gone; then nothing was
    /// written.
    /// </summary>
    /// <param name="owner">Who leased it.</param>
    /// <param name="delivery">As it was leased.</param>
    /// <param name="at">When the attempt began.</param>
    /// <param name="now">When it had ended.</param>
    /// <param name="result">What it brought.</param>
    /// <param name="pause">Until the next one; null when none follows.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task<bool> NoteAsync(string owner, WebhookDelivery delivery, DateTimeOffset at, DateTimeOffset now, WebhookResult result, TimeSpan? pause, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var status = result.Succeeded ? WebhookDeliveryStatus.Delivered : pause is null ? WebhookDeliveryStatus.Dead : WebhookDeliveryStatus.Pending;
        await using (var update = Command(connection, transaction, """
            UPDATE webhook_deliveries SET status = @status, attempts = attempts + 1, step = step + 1, next_at = @next, lease_owner = NULL, lease_until = NULL,
                last_status_code = @code, last_error = @error, ended_at = @ended
            WHERE id = @id AND lease_owner = @owner AND attempts = @attempts AND status = 'pending'
            """))
        {
            update.AddParameter("@status", status.ToWire());
            update.AddParameter("@next", Ms(now + (pause ?? TimeSpan.Zero)));
            update.AddParameter("@code", DbType.Int64, (long?)result.StatusCode);
            update.AddParameter("@error", DbType.String, result.Error);
            update.AddParameter("@ended", DbType.Int64, status == WebhookDeliveryStatus.Pending ? null : Ms(now));
            update.AddParameter("@id", delivery.Id);
            update.AddParameter("@owner", owner);
            update.AddParameter("@attempts", (long)delivery.Attempts);
            if (await update.ExecuteNonQueryAsync(cancellationToken) == 0) return false;
        }
        await using (var attempt = Command(connection, transaction, $"INSERT INTO webhook_attempts (delivery_id, {AttemptColumns}) VALUES (@id, @number, @at, @duration, @code, @error)"))
        {
            attempt.AddParameter("@id", delivery.Id);
            attempt.AddParameter("@number", (long)delivery.Attempts + 1);
            attempt.AddParameter("@at", Ms(at));
            attempt.AddParameter("@duration", (long)result.Duration.TotalMilliseconds);
            attempt.AddParameter("@code", DbType.Int64, (long?)result.StatusCode);
            attempt.AddParameter("@error", DbType.String, result.Error);
            await attempt.ExecuteNonQueryAsync(cancellationToken);
        }
        // Addresses of single requests are many receivers under one webhook; none of them speaks for the others.
        if (delivery.Url is null) await NoteAtWebhookAsync(connection, transaction, delivery.WebhookId, now, result, status, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return true;
    }

    /// <summary>Gives one back that was not attempted to its end, because the process stops.</summary>
    public async Task ReturnAsync(string owner, string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = Command(connection, null, "UPDATE webhook_deliveries SET lease_owner = NULL, lease_until = NULL WHERE id = @id AND lease_owner = @owner");
        command.AddParameter("@id", id);
        command.AddParameter("@owner", owner);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Extends the leases of a process that is at work on what it has leased.</summary>
    public async Task RenewAsync(string owner, DateTimeOffset until, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = Command(connection, null, "UPDATE webhook_deliveries SET lease_until = @until WHERE lease_owner = @owner AND status = 'pending'");
        command.AddParameter("@until", Ms(until));
        command.AddParameter("@owner", owner);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Lets what processes that are gone had leased be taken at once. Only right when no other process can be at work on this database.</summary>
    public async Task ReleaseAllAsync(CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = Command(connection, null, "UPDATE webhook_deliveries SET lease_owner = NULL, lease_until = NULL WHERE lease_until IS NOT NULL");
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Forgets up to 500 made before <paramref name="before"/>, with their history; returns how many.</summary>
    public async Task<int> ForgetAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = Command(connection, null, "DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM webhook_deliveries WHERE created_at < @before ORDER BY created_at LIMIT 500)");
        command.AddParameter("@before", Ms(before));
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private static async Task NoteAtWebhookAsync(DbConnection connection, DbTransaction transaction, string id, DateTimeOffset now, WebhookResult result, WebhookDeliveryStatus status, CancellationToken cancellationToken)
    {
        await using var update = Command(connection, transaction, result.Succeeded
            ? "UPDATE webhooks SET failing_since = NULL WHERE id = @id AND failing_since IS NOT NULL"
            : "UPDATE webhooks SET failing_since = COALESCE(failing_since, @now), not_before = CASE WHEN not_before < @quiet THEN @quiet ELSE not_before END WHERE id = @id");
        update.AddParameter("@id", id);
        if (!result.Succeeded)
        {
            update.AddParameter("@now", Ms(now));
            update.AddParameter("@quiet", WebhookSchedule.QuietAfter(result) is { } quiet ? Ms(now + quiet) : 0L);
        }
        await update.ExecuteNonQueryAsync(cancellationToken);
        if (status != WebhookDeliveryStatus.Dead) return;

        await using var disable = Command(connection, transaction, "UPDATE webhooks SET status = 'disabled', disabled_reason = @reason, updated_at = @now WHERE id = @id AND status = 'enabled' AND failing_since <= @limit");
        disable.AddParameter("@reason", result.IsGone ? "gone" : "failing");
        disable.AddParameter("@now", Ms(now));
        disable.AddParameter("@limit", Ms(result.IsGone ? now : now - WebhookSchedule.LastingFailure));
        disable.AddParameter("@id", id);
        await disable.ExecuteNonQueryAsync(cancellationToken);
    }

    private static async Task<List<T>> ReadAsync<T>(DbCommand command, Func<DbDataReader, T> read, CancellationToken cancellationToken)
    {
        var rows = new List<T>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken)) rows.Add(read(reader));
        return rows;
    }

    private static DbCommand Command(DbConnection connection, DbTransaction? transaction, string sql)
    {
        var command = connection.CreateCommand();
        command.Transaction = transaction;
#pragma warning disable CA2100 // Values are parameters; the rest are constants and numbers of this program.
        command.CommandText = sql;
#pragma warning restore CA2100
        return command;
    }

    private static long Ms(DateTimeOffset at) => at.ToUnixTimeMilliseconds();
}
