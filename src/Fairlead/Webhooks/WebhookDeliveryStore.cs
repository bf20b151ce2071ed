using System.Data.Common;
using System.Globalization;
using System.Text;
using Fairlead.Providers.Simulated;
using Fairlead.Storage;

namespace Fairlead.Webhooks;

/// <summary>
/// Deliveries in the database. One process at a time leases each; the result of an attempt is recorded only while the lease is valid,
/// so an attempt may be made twice (at-least-once) but is never lost. Thread-safe.
/// </summary>
/// <remarks>When the database is unavailable, all members throw an exception that <see cref="StorageErrors"/> classifies.</remarks>
internal sealed class WebhookDeliveryStore(IStorage storage, IWebhookOutbox outbox)
{
    /// <summary>
    /// Maximum of concurrent attempts per receiver, so that a slow one does not delay the others. A receiver whose last attempt
    /// failed gets one.
    /// </summary>
    public const int MaxPerReceiver = 4;

    /// <summary>Maximum of concurrent attempts at the addresses of single requests of one project.</summary>
    public const int MaxForRequests = 8;

    /// <summary>How many deliveries to addresses of single requests one lease considers, the longest due ones first.</summary>
    private const int MaxExamined = 1000;

    /// <summary>Deliveries in one statement.</summary>
    private const int MaxRows = 100;

    private const string AttemptColumns = "number, at, duration_ms, status_code, error";

    /// <summary>Adds the deliveries of one event, each with the owner of its webhook, in the transaction that is open on the connection.</summary>
    public static async Task AddAsync(
        DbConnection connection, IReadOnlyList<(string OwnerId, WebhookDelivery Delivery)> deliveries, CancellationToken cancellationToken)
    {
        foreach (var chunk in deliveries.Chunk(MaxRows))
        {
            var sql = new StringBuilder(
                "INSERT INTO webhook_deliveries (id, webhook_id, project_id, url, event_id, type, payload, status, attempts, step, next_at, "
                + "created_at) VALUES ");
            var first = chunk[0].Delivery;
            List<(string Name, SqlValue Value)> values =
            [
                ("@event", first.EventId), ("@type", first.Type), ("@payload", first.Payload), ("@next", first.NextAt),
                ("@created", first.CreatedAt),
            ];
            for (var i = 0; i < chunk.Length; i++)
            {
                var (owner, delivery) = chunk[i];
                sql.Append(CultureInfo.InvariantCulture, $"""
                    {(i == 0 ? "" : ", ")}(@id{i}, @webhook{i}, @owner{i}, @url{i}, @event, @type, @payload, 'pending', 0, 0, @next, @created)
                    """);
                var suffix = Number(i);
                values.AddRange(
                [
                    ("@id" + suffix, delivery.Id), ("@webhook" + suffix, delivery.WebhookId), ("@owner" + suffix, owner),
                    ("@url" + suffix, delivery.Url),
                ]);
            }
            await connection.ExecuteAsync(sql.ToString(), [.. values], cancellationToken);
        }
    }

    public async Task<WebhookDelivery?> FindAsync(WebhookOwner owner, string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.FirstOrDefaultAsync(
            $"SELECT {WebhookRow.Delivery} FROM webhook_deliveries WHERE id = @id AND {owner.Condition}",
            [("@id", storage.Sql.Storable(id)), ("@owner", owner.Id)], WebhookRow.ReadDelivery, cancellationToken);
    }

    /// <summary>Newest first.</summary>
    /// <param name="owner">Whose.</param>
    /// <param name="webhookId">Only of this webhook, or null.</param>
    /// <param name="status">Only in this state, or null.</param>
    /// <param name="before">Only those before this id; empty for all.</param>
    /// <param name="limit">How many.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    public async Task<List<WebhookDelivery>> ListAsync(
        WebhookOwner owner, string? webhookId, string? status, string before, int limit, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var where = owner.Condition;
        if (webhookId is not null) where += " AND webhook_id = @webhook";
        if (status is not null) where += " AND status = @status";
        if (before.Length > 0) where += " AND id < @before";
        return await connection.QueryAsync(
            $"SELECT {WebhookRow.Delivery} FROM webhook_deliveries WHERE {where} ORDER BY id DESC LIMIT @limit",
            [
                ("@owner", owner.Id), ("@webhook", webhookId is null ? null : storage.Sql.Storable(webhookId)),
                ("@status", status is null ? null : storage.Sql.Storable(status)), ("@before", before), ("@limit", limit),
            ],
            WebhookRow.ReadDelivery, cancellationToken);
    }

    /// <summary>The attempts of a delivery, in their order.</summary>
    public async Task<List<WebhookAttempt>> HistoryAsync(string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.QueryAsync(
            $"SELECT {AttemptColumns} FROM webhook_attempts WHERE delivery_id = @id ORDER BY number", [("@id", id)],
            WebhookRow.ReadAttempt, cancellationToken);
    }

    /// <summary>Starts a new round of the schedule now, whatever the state of the delivery; null when the id does not exist.</summary>
    public async Task<WebhookDelivery?> RedeliverAsync(
        WebhookOwner owner, string id, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.FirstOrDefaultAsync(
            $"""
            UPDATE webhook_deliveries SET status = 'pending', step = 0, next_at = @now, ended_at = NULL
            WHERE id = @id AND {owner.Condition}
            RETURNING {WebhookRow.Delivery}
            """,
            [("@now", now), ("@id", storage.Sql.Storable(id)), ("@owner", owner.Id)], WebhookRow.ReadDelivery, cancellationToken);
    }

    /// <summary>
    /// Leases up to <paramref name="most"/> due deliveries, with their webhooks. No two callers get the same one while a lease lasts.
    /// Receivers whose last attempt succeeded come before those that failed, and among equals those with the fewest running
    /// attempts: neither a backlog nor a receiver that hangs delays the others.
    /// </summary>
    /// <param name="owner">The process that leases them.</param>
    /// <param name="now">Those due by now.</param>
    /// <param name="until">End of the lease.</param>
    /// <param name="most">Maximum of deliveries.</param>
    /// <param name="mostFailing">Maximum of deliveries to webhooks whose last attempt failed.</param>
    /// <param name="cancellationToken">Stops the wait.</param>
    public Task<IReadOnlyList<(WebhookDelivery Delivery, Webhook Webhook)>> LeaseAsync(
        string owner, DateTimeOffset now, DateTimeOffset until, int most, int mostFailing, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync<IReadOnlyList<(WebhookDelivery Delivery, Webhook Webhook)>>(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        // Usually nothing is due; finding that out must not wait for another writer.
        var receivers = await ReceiversAsync(connection, now, cancellationToken);
        if (!receivers.Exists(receiver => !receiver.IsFailing || mostFailing > 0)) return [];

        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var leased = new List<(WebhookDelivery, Webhook)>();
        foreach (var receiver in receivers)
        {
            var room = Math.Min(most - leased.Count, receiver.IsFailing ? mostFailing : most);
            if (room <= 0) continue;
            var taken = await LeaseAsync(connection, receiver, owner, now, until, room, cancellationToken);
            if (taken.Count == 0) continue;
            if (receiver.IsFailing) mostFailing -= taken.Count;
            var webhook = await connection.FirstOrDefaultAsync(
                $"SELECT {WebhookRow.Webhook} FROM webhooks WHERE id = @id", [("@id", receiver.WebhookId)],
                WebhookRow.ReadWebhook, cancellationToken);
            // A webhook that was deleted at this moment has no deliveries any more.
            if (webhook is not null) leased.AddRange(taken.Select(delivery => (delivery, webhook)));
        }
        await transaction.CommitAsync(cancellationToken);
        return leased;
    });

    /// <summary>Webhooks with due deliveries and room for an attempt, in the order in which they are served.</summary>
    /// <remarks>
    /// Steps from webhook to webhook by the index: the cost grows with the webhooks that have deliveries, not with the deliveries.
    /// </remarks>
    private static Task<List<Receiver>> ReceiversAsync(DbConnection connection, DateTimeOffset now, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            $"""
            WITH RECURSIVE waiting (id) AS (
                SELECT MIN(webhook_id) FROM webhook_deliveries WHERE status = 'pending'
                UNION ALL
                SELECT (SELECT MIN(d.webhook_id) FROM webhook_deliveries d WHERE d.status = 'pending' AND d.webhook_id > waiting.id)
                FROM waiting WHERE waiting.id IS NOT NULL)
            SELECT id, of_requests, failing, busy FROM (
                SELECT w.id AS id, CASE WHEN w.url IS NULL THEN 1 ELSE 0 END AS of_requests,
                    CASE WHEN w.failing_since IS NULL THEN 0 ELSE 1 END AS failing,
                    (SELECT COUNT(*) FROM webhook_deliveries b WHERE b.webhook_id = w.id AND b.status = 'pending' AND b.lease_until > @now) AS busy,
                    (SELECT MIN(d.next_at) FROM webhook_deliveries d
                        WHERE d.webhook_id = w.id AND d.status = 'pending' AND (d.lease_until IS NULL OR d.lease_until <= @now)) AS due
                FROM waiting JOIN webhooks w ON w.id = waiting.id
                WHERE w.status = 'enabled' AND (w.not_before <= @now OR w.url IS NULL)) receivers
            WHERE due <= @now AND busy <
                CASE WHEN of_requests = 1 THEN {Number(MaxForRequests)} WHEN failing = 1 THEN 1 ELSE {Number(MaxPerReceiver)} END
            ORDER BY failing, busy, due, id
            """,
            [("@now", now)], row => new Receiver(row.Text("id"), row.Bool("of_requests"), row.Bool("failing")), cancellationToken);

    private async Task<List<WebhookDelivery>> LeaseAsync(
        DbConnection connection, Receiver receiver, string owner, DateTimeOffset now, DateTimeOffset until, int room,
        CancellationToken cancellationToken)
    {
        const string Due = "p.webhook_id = @webhook AND p.status = 'pending' AND p.next_at <= @now";
        // Running attempts count against the share of the receiver; for single requests each address is a receiver.
        var candidates = receiver.IsOfRequests
            ? $"""
                SELECT id FROM (
                    SELECT p.id, p.next_at, p.lease_until,
                        ROW_NUMBER() OVER (PARTITION BY p.url ORDER BY CASE WHEN p.lease_until > @now THEN 0 ELSE 1 END, p.next_at, p.id) AS place
                    FROM (SELECT * FROM webhook_deliveries p WHERE {Due} ORDER BY p.next_at, p.id LIMIT {Number(MaxExamined)}) p) ranked
                WHERE place <= {Number(MaxPerReceiver)} AND (lease_until IS NULL OR lease_until <= @now) ORDER BY next_at, id
                """
            : $"SELECT p.id FROM webhook_deliveries p WHERE {Due} AND (p.lease_until IS NULL OR p.lease_until <= @now) "
                + "ORDER BY p.next_at, p.id";
        var share = Number(receiver.IsOfRequests ? MaxForRequests : receiver.IsFailing ? 1 : MaxPerReceiver);
        var taken = await connection.QueryAsync(
            $"""
            UPDATE webhook_deliveries SET lease_owner = @owner, lease_until = @until
            WHERE id IN (
                SELECT d.id FROM webhook_deliveries d
                WHERE d.status = 'pending' AND (d.lease_until IS NULL OR d.lease_until <= @now) AND d.id IN (
                    {candidates}
                    LIMIT (SELECT CASE WHEN COUNT(*) >= {share} THEN 0
                            WHEN {share} - COUNT(*) < {Number(room)} THEN {share} - COUNT(*) ELSE {Number(room)} END
                        FROM webhook_deliveries b WHERE b.webhook_id = @webhook AND b.status = 'pending' AND b.lease_until > @now))
                {storage.Sql.ForUpdateSkipLocked})
            RETURNING {WebhookRow.Delivery}
            """,
            [("@owner", owner), ("@until", until), ("@now", now), ("@webhook", receiver.WebhookId)], WebhookRow.ReadDelivery,
            cancellationToken);
        return [.. taken.OrderBy(delivery => delivery.NextAt).ThenBy(delivery => delivery.Id, StringComparer.Ordinal)];
    }

    /// <summary>
    /// Records the result of an attempt and its consequences. When the lease was lost or the delivery was deleted, nothing is written.
    /// </summary>
    /// <param name="owner">The process that leased it.</param>
    /// <param name="delivery">As it was leased.</param>
    /// <param name="webhook">As it was leased.</param>
    /// <param name="at">When the attempt started.</param>
    /// <param name="now">When it ended.</param>
    /// <param name="result">Its result.</param>
    /// <param name="pause">Until the next attempt; null when none follows.</param>
    /// <param name="cancellationToken">Stops the wait.</param>
    public Task<WebhookNote> NoteAsync(
        string owner, WebhookDelivery delivery, Webhook webhook, DateTimeOffset at, DateTimeOffset now, WebhookResult result,
        TimeSpan? pause,
        CancellationToken cancellationToken) => StorageRetry.RunAsync<WebhookNote>(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var status = result.Succeeded ? WebhookDeliveryStatus.Delivered
            : pause is null ? WebhookDeliveryStatus.Dead
            : WebhookDeliveryStatus.Pending;
        if (!await UpdateAsync("step = @step", "status = @status, step = step + 1, next_at = @next, ended_at = @ended"))
        {
            // A redelivery was requested during the attempt: a failure of the old round does not end the new one, which has started.
            var asked = result.Succeeded ? "status = @status, next_at = @next, ended_at = @ended" : "status = 'pending'";
            if (!await UpdateAsync("step <> @step", asked)) return WebhookNote.LeaseLost;
            if (!result.Succeeded) status = WebhookDeliveryStatus.Pending;
        }
        await connection.ExecuteAsync(
            $"INSERT INTO webhook_attempts (delivery_id, {AttemptColumns}) VALUES (@id, @number, @at, @duration, @code, @error)",
            [
                ("@id", delivery.Id), ("@number", (long)delivery.Attempts + 1), ("@at", at),
                ("@duration", (long)result.Duration.TotalMilliseconds),
                ("@code", result.StatusCode), ("@error", result.Error),
            ],
            cancellationToken);
        // Addresses of single requests are many receivers under one webhook; none of them decides for the others.
        var disabled = delivery.Url is null
            && await NoteAtWebhookAsync(connection, transaction, webhook, now, result, status, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        if (disabled) outbox.Announce();
        return new WebhookNote(status, disabled);

        async Task<bool> UpdateAsync(string condition, string changes) => await connection.ExecuteAsync(
            $"""
            UPDATE webhook_deliveries
            SET {changes}, attempts = attempts + 1, lease_owner = NULL, lease_until = NULL, last_status_code = @code, last_error = @error
            WHERE id = @id AND lease_owner = @owner AND attempts = @attempts AND status = 'pending' AND {condition}
            """,
            [
                ("@status", status.ToWire()), ("@next", now + (pause ?? TimeSpan.Zero)), ("@code", result.StatusCode),
                ("@error", result.Error),
                ("@ended", status == WebhookDeliveryStatus.Pending ? (DateTimeOffset?)null : now), ("@id", delivery.Id), ("@owner", owner),
                ("@attempts", delivery.Attempts), ("@step", delivery.Step),
            ],
            cancellationToken) > 0;
    });

    /// <summary>Returns one whose attempt did not finish, because the process stops.</summary>
    public async Task ReturnAsync(string owner, string id, CancellationToken cancellationToken)
    {
        await storage.ExecuteAsync(
            "UPDATE webhook_deliveries SET lease_owner = NULL, lease_until = NULL WHERE id = @id AND lease_owner = @owner",
            [("@id", id), ("@owner", owner)], cancellationToken);
    }

    /// <summary>Extends the leases of deliveries that a process works on.</summary>
    public Task RenewAsync(string owner, IReadOnlyCollection<string> ids, DateTimeOffset until, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        foreach (var id in ids.Order(StringComparer.Ordinal))
        {
            await connection.ExecuteAsync(
                "UPDATE webhook_deliveries SET lease_until = @until WHERE id = @id AND lease_owner = @owner AND status = 'pending'",
                [("@until", until), ("@id", id), ("@owner", owner)], cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
    });

    /// <summary>Frees the leases of processes that stopped. Only correct when no other process can use this database.</summary>
    public async Task ReleaseAllAsync(CancellationToken cancellationToken)
    {
        await storage.ExecuteAsync(
            "UPDATE webhook_deliveries SET lease_owner = NULL, lease_until = NULL WHERE lease_until IS NOT NULL", [], cancellationToken);
    }

    /// <summary>Deletes up to 500 created before <paramref name="before"/>, with their history; returns how many.</summary>
    public async Task<int> ForgetAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        return await storage.ExecuteAsync(
            $"""
            DELETE FROM webhook_deliveries
            WHERE id IN (SELECT id FROM webhook_deliveries WHERE created_at < @before ORDER BY created_at LIMIT 500{storage.Sql.ForUpdateSkipLocked})
            """,
            [("@before", before)], cancellationToken);
    }

    /// <summary>Whether the webhook was disabled by it; then the other webhooks of its owner are notified.</summary>
    private async Task<bool> NoteAtWebhookAsync(
        DbConnection connection, DbTransaction transaction, Webhook webhook, DateTimeOffset now, WebhookResult result,
        WebhookDeliveryStatus status,
        CancellationToken cancellationToken)
    {
        // The address may have been replaced meanwhile; the response of the old one says nothing about the new one.
        await connection.ExecuteAsync(
            result.Succeeded
                ? "UPDATE webhooks SET failing_since = NULL WHERE id = @id AND url = @url AND failing_since IS NOT NULL"
                : """
                    UPDATE webhooks SET failing_since = COALESCE(failing_since, @now),
                        not_before = CASE WHEN not_before < @quiet THEN @quiet ELSE not_before END
                    WHERE id = @id AND url = @url
                    """,
            [
                ("@id", webhook.Id), ("@url", webhook.Url), ("@now", now),
                ("@quiet", WebhookSchedule.QuietAfter(result) is { } quiet ? Ms(now + quiet) : 0L),
            ],
            cancellationToken);
        if (status != WebhookDeliveryStatus.Dead) return false;

        var disabled = await connection.FirstOrDefaultAsync(
            $"""
            UPDATE webhooks SET status = 'disabled', disabled_reason = @reason, updated_at = @now
            WHERE id = @id AND url = @url AND status = 'enabled' AND failing_since <= @limit
            RETURNING {WebhookRow.Webhook}
            """,
            [
                ("@reason", result.IsGone ? "gone" : "failing"), ("@now", now),
                ("@limit", result.IsGone ? now : now - WebhookSchedule.LastingFailure), ("@id", webhook.Id), ("@url", webhook.Url),
            ],
            WebhookRow.ReadWebhook, cancellationToken);
        if (disabled is null) return false;
        var happened = new WebhookEvent(disabled.OwnerId, WebhookEvents.Disabled, now, WebhookWriter.Write(disabled));
        await outbox.AddAsync(connection, transaction, happened, cancellationToken);
        return true;
    }

    private static long Ms(DateTimeOffset at) => at.ToUnixTimeMilliseconds();

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private readonly record struct Receiver(string WebhookId, bool IsOfRequests, bool IsFailing);
}
