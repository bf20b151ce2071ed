using System.Data;
using System.Data.Common;
using System.Globalization;
using Fairlead.Providers.Simulated;
using Fairlead.Storage;

namespace Fairlead.Webhooks;

/// <summary>
/// Deliveries in the database. Each is leased by one process at a time; what an attempt brought is only noted while the lease still stands,
/// so an attempt may be made twice (at-least-once) but is never lost. Thread-safe.
/// </summary>
/// <remarks>All members throw what <see cref="StorageFaults"/> tells apart when the database is away.</remarks>
internal sealed class WebhookDeliveryStore(IStorage storage, IWebhookOutbox outbox)
{
    /// <summary>Attempts at once at one receiver, so that a slow one does not hold up the others. One whose last attempt failed gets one at a time.</summary>
    public const int MostAtOneReceiver = 4;

    /// <summary>Attempts at once at the addresses of single requests of one project.</summary>
    public const int MostOfRequests = 8;

    /// <summary>Of the deliveries to addresses of single requests so many, the longest due ones, are looked at.</summary>
    private const int MostLookedAt = 1000;

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

    /// <summary>
    /// Takes up to <paramref name="most"/> that are due, with the webhooks they belong to. No two callers get the same one while a lease lasts.
    /// Receivers that take what is sent go before those that failed last, and among equals those with the least under way: neither a backlog
    /// nor a receiver that hangs keeps the others waiting.
    /// </summary>
    /// <param name="owner">Who takes them.</param>
    /// <param name="now">Those due by now.</param>
    /// <param name="until">End of the lease.</param>
    /// <param name="most">At most so many.</param>
    /// <param name="mostFailing">At most so many of them for webhooks whose last attempt failed.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public Task<IReadOnlyList<(WebhookDelivery Delivery, Webhook Webhook)>> LeaseAsync(string owner, DateTimeOffset now, DateTimeOffset until, int most, int mostFailing, CancellationToken cancellationToken) => StorageRetry.RunAsync<IReadOnlyList<(WebhookDelivery Delivery, Webhook Webhook)>>(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        // The usual look finds nothing, and must not wait for a writer to find that out.
        var receivers = await ReceiversAsync(connection, now, cancellationToken);
        if (!receivers.Exists(receiver => !receiver.IsFailing || mostFailing > 0)) return [];

        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var leased = new List<(WebhookDelivery, Webhook)>();
        foreach (var receiver in receivers)
        {
            var room = Math.Min(most - leased.Count, receiver.IsFailing ? mostFailing : most);
            if (room <= 0) continue;
            var taken = await LeaseAsync(connection, transaction, receiver, owner, now, until, room, cancellationToken);
            if (taken.Count == 0) continue;
            if (receiver.IsFailing) mostFailing -= taken.Count;
            await using var find = Command(connection, transaction, $"SELECT {WebhookRow.Webhook} FROM webhooks WHERE id = @id");
            find.AddParameter("@id", receiver.WebhookId);
            // One that was deleted at this moment has taken its deliveries along.
            foreach (var webhook in await ReadAsync(find, WebhookRow.ReadWebhook, cancellationToken)) leased.AddRange(taken.Select(delivery => (delivery, webhook)));
        }
        await transaction.CommitAsync(cancellationToken);
        return leased;
    });

    /// <summary>Webhooks for which something is due and that have room, in the order in which they are served.</summary>
    private static async Task<List<Receiver>> ReceiversAsync(DbConnection connection, DateTimeOffset now, CancellationToken cancellationToken)
    {
        // From webhook to webhook by the index, so that what it costs goes with the webhooks that wait and not with how much waits for them.
        await using var command = Command(connection, null, $"""
            WITH RECURSIVE waiting (id) AS (
                SELECT MIN(webhook_id) FROM webhook_deliveries WHERE status = 'pending'
                UNION ALL
                SELECT (SELECT MIN(d.webhook_id) FROM webhook_deliveries d WHERE d.status = 'pending' AND d.webhook_id > waiting.id) FROM waiting WHERE waiting.id IS NOT NULL)
            SELECT id, of_requests, failing, busy FROM (
                SELECT w.id AS id, CASE WHEN w.url IS NULL THEN 1 ELSE 0 END AS of_requests, CASE WHEN w.failing_since IS NULL THEN 0 ELSE 1 END AS failing,
                    (SELECT COUNT(*) FROM webhook_deliveries b WHERE b.webhook_id = w.id AND b.status = 'pending' AND b.lease_until > @now) AS busy,
                    (SELECT MIN(d.next_at) FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.status = 'pending' AND (d.lease_until IS NULL OR d.lease_until <= @now)) AS due
                FROM waiting JOIN webhooks w ON w.id = waiting.id
                WHERE w.status = 'enabled' AND (w.not_before <= @now OR w.url IS NULL)) receivers
            WHERE due <= @now AND busy < CASE WHEN of_requests = 1 THEN {Number(MostOfRequests)} WHEN failing = 1 THEN 1 ELSE {Number(MostAtOneReceiver)} END
            ORDER BY failing, busy, due, id
            """);
        command.AddParameter("@now", Ms(now));
        return await ReadAsync(command, row => new Receiver(row.GetString(0), row.GetInt32(1) == 1, row.GetInt32(2) == 1), cancellationToken);
    }

    private async Task<List<WebhookDelivery>> LeaseAsync(DbConnection connection, DbTransaction transaction, Receiver receiver, string owner, DateTimeOffset now, DateTimeOffset until, int room, CancellationToken cancellationToken)
    {
        const string Due = "p.webhook_id = @webhook AND p.status = 'pending' AND p.next_at <= @now";
        // Those on their way count against the share of the receiver; of single requests each address is one.
        var candidates = receiver.IsOfRequests
            ? $"""
                SELECT id FROM (
                    SELECT p.id, p.next_at, p.lease_until, ROW_NUMBER() OVER (PARTITION BY p.url ORDER BY CASE WHEN p.lease_until > @now THEN 0 ELSE 1 END, p.next_at, p.id) AS place
                    FROM (SELECT * FROM webhook_deliveries p WHERE {Due} ORDER BY p.next_at, p.id LIMIT {Number(MostLookedAt)}) p) ranked
                WHERE place <= {Number(MostAtOneReceiver)} AND (lease_until IS NULL OR lease_until <= @now) ORDER BY next_at, id
                """
            : $"SELECT p.id FROM webhook_deliveries p WHERE {Due} AND (p.lease_until IS NULL OR p.lease_until <= @now) ORDER BY p.next_at, p.id";
        var share = Number(receiver.IsOfRequests ? MostOfRequests : receiver.IsFailing ? 1 : MostAtOneReceiver);
        await using var lease = Command(connection, transaction, $"""
            UPDATE webhook_deliveries SET lease_owner = @owner, lease_until = @until
            WHERE id IN (
                SELECT d.id FROM webhook_deliveries d
                WHERE d.status = 'pending' AND (d.lease_until IS NULL OR d.lease_until <= @now) AND d.id IN (
                    {candidates}
                    LIMIT (SELECT CASE WHEN COUNT(*) >= {share} THEN 0 WHEN {share} - COUNT(*) < {Number(room)} THEN {share} - COUNT(*) ELSE {Number(room)} END
                        FROM webhook_deliveries b WHERE b.webhook_id = @webhook AND b.status = 'pending' AND b.lease_until > @now))
                {storage.Sql.ForUpdateSkipLocked})
            RETURNING {WebhookRow.Delivery}
            """);
        lease.AddParameter("@owner", owner);
        lease.AddParameter("@until", Ms(until));
        lease.AddParameter("@now", Ms(now));
        lease.AddParameter("@webhook", receiver.WebhookId);
        var taken = await ReadAsync(lease, WebhookRow.ReadDelivery, cancellationToken);
        return [.. taken.OrderBy(delivery => delivery.NextAt).ThenBy(delivery => delivery.Id, StringComparer.Ordinal)];
    }

    /// <summary>
    /// Notes what an attempt brought and what follows from it. Where nothing was noted, the lease was lost, or the delivery is gone; then nothing
    /// was written.
    /// </summary>
    /// <param name="owner">Who leased it.</param>
    /// <param name="delivery">As it was leased.</param>
    /// <param name="webhook">As it was leased.</param>
    /// <param name="at">When the attempt began.</param>
    /// <param name="now">When it had ended.</param>
    /// <param name="result">What it brought.</param>
    /// <param name="pause">Until the next one; null when none follows.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public Task<WebhookNote> NoteAsync(string owner, WebhookDelivery delivery, Webhook webhook, DateTimeOffset at, DateTimeOffset now, WebhookResult result, TimeSpan? pause, CancellationToken cancellationToken) => StorageRetry.RunAsync<WebhookNote>(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var status = result.Succeeded ? WebhookDeliveryStatus.Delivered : pause is null ? WebhookDeliveryStatus.Dead : WebhookDeliveryStatus.Pending;
        if (!await UpdateAsync("step = @step", "status = @status, step = step + 1, next_at = @next, ended_at = @ended"))
        {
            // Somebody asked for it anew while it was attempted: a failure of the old round does not end the new one, which has begun already.
            var asked = result.Succeeded ? "status = @status, next_at = @next, ended_at = @ended" : "status = 'pending'";
            if (!await UpdateAsync("step <> @step", asked)) return WebhookNote.LeaseLost;
            if (!result.Succeeded) status = WebhookDeliveryStatus.Pending;
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
        var disabled = delivery.Url is null && await NoteAtWebhookAsync(connection, transaction, webhook, now, result, status, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        if (disabled) outbox.Announce();
        return new WebhookNote(status, disabled);

        async Task<bool> UpdateAsync(string condition, string changes)
        {
            await using var update = Command(connection, transaction, $"""
                UPDATE webhook_deliveries SET {changes}, attempts = attempts + 1, lease_owner = NULL, lease_until = NULL, last_status_code = @code, last_error = @error
                WHERE id = @id AND lease_owner = @owner AND attempts = @attempts AND status = 'pending' AND {condition}
                """);
            update.AddParameter("@status", status.ToWire());
            update.AddParameter("@next", Ms(now + (pause ?? TimeSpan.Zero)));
            update.AddParameter("@code", DbType.Int64, (long?)result.StatusCode);
            update.AddParameter("@error", DbType.String, result.Error);
            update.AddParameter("@ended", DbType.Int64, status == WebhookDeliveryStatus.Pending ? null : Ms(now));
            update.AddParameter("@id", delivery.Id);
            update.AddParameter("@owner", owner);
            update.AddParameter("@attempts", (long)delivery.Attempts);
            update.AddParameter("@step", (long)delivery.Step);
            return await update.ExecuteNonQueryAsync(cancellationToken) > 0;
        }
    });

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
    public Task RenewAsync(string owner, IReadOnlyCollection<string> ids, DateTimeOffset until, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await using var command = Command(connection, transaction, "UPDATE webhook_deliveries SET lease_until = @until WHERE id = @id AND lease_owner = @owner AND status = 'pending'");
        command.AddParameter("@until", Ms(until));
        command.AddParameter("@owner", owner);
        command.AddParameter("@id", "");
        foreach (var id in ids.Order(StringComparer.Ordinal))
        {
            command.Parameters["@id"].Value = id;
            await command.ExecuteNonQueryAsync(cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
    });

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
        await using var command = Command(connection, null, $"DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM webhook_deliveries WHERE created_at < @before ORDER BY created_at LIMIT 500{storage.Sql.ForUpdateSkipLocked})");
        command.AddParameter("@before", Ms(before));
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Whether the webhook was disabled by it, which the project's others are told then.</summary>
    private async Task<bool> NoteAtWebhookAsync(DbConnection connection, DbTransaction transaction, Webhook webhook, DateTimeOffset now, WebhookResult result, WebhookDeliveryStatus status, CancellationToken cancellationToken)
    {
        // What an address answered says nothing of the one that has taken its place meanwhile.
        await using var update = Command(connection, transaction, result.Succeeded
            ? "UPDATE webhooks SET failing_since = NULL WHERE id = @id AND url = @url AND failing_since IS NOT NULL"
            : "UPDATE webhooks SET failing_since = COALESCE(failing_since, @now), not_before = CASE WHEN not_before < @quiet THEN @quiet ELSE not_before END WHERE id = @id AND url = @url");
        update.AddParameter("@id", webhook.Id);
        update.AddParameter("@url", webhook.Url!);
        if (!result.Succeeded)
        {
            update.AddParameter("@now", Ms(now));
            update.AddParameter("@quiet", WebhookSchedule.QuietAfter(result) is { } quiet ? Ms(now + quiet) : 0L);
        }
        await update.ExecuteNonQueryAsync(cancellationToken);
        if (status != WebhookDeliveryStatus.Dead) return false;

        await using var disable = Command(connection, transaction, $"""
            UPDATE webhooks SET status = 'disabled', disabled_reason = @reason, updated_at = @now
            WHERE id = @id AND url = @url AND status = 'enabled' AND failing_since <= @limit
            RETURNING {WebhookRow.Webhook}
            """);
        disable.AddParameter("@reason", result.IsGone ? "gone" : "failing");
        disable.AddParameter("@now", Ms(now));
        disable.AddParameter("@limit", Ms(result.IsGone ? now : now - WebhookSchedule.LastingFailure));
        disable.AddParameter("@id", webhook.Id);
        disable.AddParameter("@url", webhook.Url!);
        if (await ReadAsync(disable, WebhookRow.ReadWebhook, cancellationToken) is not [var disabled]) return false;
        await outbox.AddAsync(connection, transaction, new WebhookEvent(disabled.ProjectId, WebhookEvents.Disabled, now, WebhookWriter.Write(disabled)), cancellationToken);
        return true;
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

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private readonly record struct Receiver(string WebhookId, bool IsOfRequests, bool IsFailing);
}
