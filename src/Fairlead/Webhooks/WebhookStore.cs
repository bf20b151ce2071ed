using System.Data.Common;
using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Storage;

namespace Fairlead.Webhooks;

/// <summary>Webhooks in the database. Thread-safe.</summary>
/// <remarks>When the database is unavailable, all members throw an exception that <see cref="StorageErrors"/> classifies.</remarks>
internal sealed class WebhookStore(IStorage storage, TimeProvider time)
{
    /// <summary>Maximum of webhooks per project, without the one of single requests, and per organization.</summary>
    public const int MaxPerOwner = 20;

    /// <summary>Adds it; false when its owner has the maximum already.</summary>
    /// <exception cref="UnknownCommitException">It may have been added.</exception>
    /// <param name="webhook">The webhook.</param>
    /// <param name="record">Records the change in its transaction; null for no record.</param>
    /// <param name="cancellationToken">Stops it before the change.</param>
    public Task<bool> AddAsync(Webhook webhook, WebhookRecord? record, CancellationToken cancellationToken) => ChangingAsync(() =>
        StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await storage.Sql.LockAsync(transaction, StorageLock.Webhooks, cancellationToken);
        if (attempt.IsRepeat
            && await connection.Int64Async("SELECT 1 FROM webhooks WHERE id = @id", [("@id", webhook.Id)], cancellationToken) is not null)
        {
            return true;
        }
        var count = await connection.Int64Async(
            "SELECT COUNT(*) FROM webhooks WHERE project_id = @project AND url IS NOT NULL", [("@project", webhook.OwnerId)],
            cancellationToken);
        if (count >= MaxPerOwner) return false;
        await InsertAsync(connection, webhook, cancellationToken);
        if (record is not null) await record(connection, null, webhook);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        return true;
    }, time));

    /// <summary>The webhook that signs deliveries to addresses of single requests; created when it does not exist.</summary>
    public async Task<Webhook> OfRequestsAsync(string projectId, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        // It is missing only the first time: finding it needs no write lock.
        if (await FindOfRequestsAsync(connection, projectId, cancellationToken) is { } known) return known;
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var webhook = await OfRequestsAsync(connection, projectId, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return webhook;
    }

    /// <summary>As <see cref="OfRequestsAsync(string, CancellationToken)"/>, in the transaction that is open on the connection.</summary>
    public async Task<Webhook> OfRequestsAsync(DbConnection connection, string projectId, CancellationToken cancellationToken)
    {
        if (await FindOfRequestsAsync(connection, projectId, cancellationToken) is { } known) return known;

        var now = time.GetUtcNow();
        // Two nodes may create the first one at once: the second waits for the transaction of the first, then finds its row.
        await InsertAsync(connection, new Webhook
        {
            Id = Ids.New("whk_", time), OwnerId = projectId, Events = [], Key = WebhookKey.New(WebhookSignature.Ed25519),
            CreatedAt = now, UpdatedAt = now,
        }, cancellationToken);
        return await FindOfRequestsAsync(connection, projectId, cancellationToken)
            ?? throw new StorageException("The webhook of single requests was removed at the moment it was made.") { IsTransient = true };
    }

    public async Task<Webhook?> FindAsync(WebhookOwner owner, string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await FindAsync(connection, owner, id, "", cancellationToken);
    }

    /// <summary>In the order of creation, those after the id <paramref name="after"/>.</summary>
    public async Task<List<Webhook>> ListAsync(WebhookOwner owner, string after, int limit, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.QueryAsync(
            $"SELECT {WebhookRow.Webhook} FROM webhooks WHERE {owner.Condition} AND id > @after ORDER BY id LIMIT @limit",
            [("@owner", owner.Id), ("@after", after), ("@limit", limit)], WebhookRow.ReadWebhook, cancellationToken);
    }

    /// <summary>Stores what <paramref name="change"/> returns for it; null when it does not exist.</summary>
    public Task<Webhook?> ChangeAsync(
        WebhookOwner owner, string id, Func<Webhook, Webhook> change, WebhookRecord? record, CancellationToken cancellationToken) =>
        ChangingAsync(() =>
        StorageRetry.RunAsync<Webhook?>(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        if (await FindAsync(connection, owner, id, storage.Sql.ForUpdate, cancellationToken) is not { } known) return null;
        var changed = change(known) with { UpdatedAt = time.GetUtcNow() };
        // Enabling it again should start deliveries now, and a new address has not asked for a pause.
        var revived = (changed.Enabled && !known.Enabled) || changed.Url != known.Url;
        await connection.ExecuteAsync(
            $"""
            UPDATE webhooks SET url = @url, description = @description, events = @events, secret = @secret, previous_secret = @previous,
                previous_until = @previous_until, status = @status, disabled_reason = @reason, failing_since = @failing,
                updated_at = @updated{(revived ? ", not_before = 0" : "")}
            WHERE id = @id
            """,
            Columns(changed), cancellationToken);
        if (record is not null) await record(connection, known, changed);
        await transaction.CommitAsync(cancellationToken);
        return changed;
    }));

    /// <summary>Removes it with its deliveries; false when it does not exist.</summary>
    public Task<bool> DeleteAsync(
        WebhookOwner owner, string id, WebhookRecord? record, CancellationToken cancellationToken) => ChangingAsync(() =>
        StorageRetry.RunAsync<bool>(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        if (await FindAsync(connection, owner, id, storage.Sql.ForUpdate, cancellationToken) is not { } known) return false;
        await connection.ExecuteAsync("DELETE FROM webhooks WHERE id = @id", [("@id", known.Id)], cancellationToken);
        if (record is not null) await record(connection, known, null);
        await transaction.CommitAsync(cancellationToken);
        return true;
    }));

    /// <summary>
    /// Deletes the webhooks of deleted projects and organizations, which no caller can reach any more; returns how many. The projects of
    /// keys that are not in the database are never deleted.
    /// </summary>
    public async Task<int> ForgetOrphansAsync(CancellationToken cancellationToken)
    {
        return await storage.ExecuteAsync(
            """
            DELETE FROM webhooks WHERE project_id NOT IN (SELECT id FROM projects) AND project_id NOT IN (SELECT id FROM organizations)
                AND project_id <> @operator AND substr(project_id, 1, length(@app)) <> @app
            """,
            [("@operator", EnvironmentKey.ProjectId), ("@app", ApplicationCallers.ProjectPrefix)], cancellationToken);
    }

    // Whatever happened, other slices should look again.
    private async Task<T> ChangingAsync<T>(Func<Task<T>> change)
    {
        try
        {
            return await change();
        }
        finally
        {
            storage.Notifier.Announce(WebhookSubscribers.Channel, "");
        }
    }

    private Task<Webhook?> FindAsync(
        DbConnection connection, WebhookOwner owner, string id, string forUpdate, CancellationToken cancellationToken) =>
        connection.FirstOrDefaultAsync(
            $"SELECT {WebhookRow.Webhook} FROM webhooks WHERE id = @id AND {owner.Condition}{forUpdate}",
            [("@id", storage.Sql.Storable(id)), ("@owner", owner.Id)], WebhookRow.ReadWebhook, cancellationToken);

    private static Task<Webhook?> FindOfRequestsAsync(DbConnection connection, string projectId, CancellationToken cancellationToken) =>
        connection.FirstOrDefaultAsync(
            $"SELECT {WebhookRow.Webhook} FROM webhooks WHERE project_id = @project AND url IS NULL",
            [("@project", projectId)], WebhookRow.ReadWebhook, cancellationToken);

    private static Task<int> InsertAsync(DbConnection connection, Webhook webhook, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
        """
        INSERT INTO webhooks (id, project_id, url, description, events, signature, secret, previous_secret, previous_until, status, disabled_reason,
            failing_since, not_before, created_at, updated_at)
        VALUES (@id, @project, @url, @description, @events, @signature, @secret, @previous, @previous_until, @status, @reason,
            @failing, 0, @created, @updated)
        ON CONFLICT DO NOTHING
        """,
        [
            .. Columns(webhook), ("@project", webhook.OwnerId), ("@signature", WebhookRow.Signature(webhook.Key.Kind)),
            ("@created", webhook.CreatedAt),
        ],
        cancellationToken);

    private static (string Name, SqlValue Value)[] Columns(Webhook webhook) =>
    [
        ("@id", webhook.Id), ("@url", webhook.Url), ("@description", webhook.Description), ("@events", WebhookRow.Events(webhook.Events)),
        ("@secret", webhook.Key.Secret.ToArray()), ("@previous", webhook.PreviousKey?.Secret.ToArray()),
        ("@previous_until", webhook.PreviousUntil),
        ("@status", webhook.Enabled ? "enabled" : "disabled"), ("@reason", webhook.DisabledReason), ("@failing", webhook.FailingSince),
        ("@updated", webhook.UpdatedAt),
    ];
}

/// <summary>Records a change of a webhook in the transaction that is open on the connection.</summary>
/// <param name="connection">The connection.</param>
/// <param name="before">Null for a new one.</param>
/// <param name="after">Null for a deleted one.</param>
internal delegate Task WebhookRecord(DbConnection connection, Webhook? before, Webhook? after);
