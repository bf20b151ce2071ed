using System.Data;
using System.Data.Common;
using System.Globalization;
using Fairlead.Conversation;
using Fairlead.Storage;

namespace Fairlead.Webhooks;

/// <summary>Webhooks in the database. Thread-safe.</summary>
/// <remarks>All members throw what <see cref="StorageFaults"/> tells apart when the database is away.</remarks>
internal sealed class WebhookStore(IStorage storage, TimeProvider time)
{
    /// <summary>Webhooks of one project, the one of single requests not counted.</summary>
    public const int MostOfAProject = 20;

    /// <summary>Adds it; false when the project has as many as it may.</summary>
    public Task<bool> AddAsync(Webhook webhook, CancellationToken cancellationToken) => StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await storage.Sql.LockAsync(transaction, StorageLock.Webhooks, cancellationToken);
        if (attempt.IsRepeat)
        {
            await using var find = Command(connection, transaction, "SELECT 1 FROM webhooks WHERE id = @id");
            find.AddParameter("@id", webhook.Id);
            if (await find.ExecuteScalarAsync(cancellationToken) is not null) return true;
        }
        await using (var count = Command(connection, transaction, "SELECT COUNT(*) FROM webhooks WHERE project_id = @project AND url IS NOT NULL"))
        {
            count.AddParameter("@project", webhook.ProjectId);
            if (Convert.ToInt64(await count.ExecuteScalarAsync(cancellationToken), CultureInfo.InvariantCulture) >= MostOfAProject) return false;
        }
        await InsertAsync(connection, transaction, webhook, cancellationToken);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        return true;
    }, time);

    /// <summary>The one that signs what goes to addresses of single requests; made when there is none yet.</summary>
    public async Task<Webhook> OfRequestsAsync(string projectId, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        // There is one already, but for the first time: that needs no writer.
        await using (var find = OfRequests(connection, null, projectId))
        {
            if (await OneAsync(find, cancellationToken) is { } known) return known;
        }
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var webhook = await OfRequestsAsync(connection, transaction, projectId, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return webhook;
    }

    /// <summary>As <see cref="OfRequestsAsync(string, CancellationToken)"/>, within a transaction of the caller.</summary>
    public async Task<Webhook> OfRequestsAsync(DbConnection connection, DbTransaction transaction, string projectId, CancellationToken cancellationToken)
    {
        await using var find = OfRequests(connection, transaction, projectId);
        if (await OneAsync(find, cancellationToken) is { } known) return known;

        var now = time.GetUtcNow();
        // Two nodes may want the first one at once; the second waits for the first one's transaction and finds it.
        await InsertAsync(connection, transaction, new Webhook
        {
            Id = Ids.New("whk_", time), ProjectId = projectId, Events = [], Key = WebhookKey.New(WebhookSignature.Ed25519), CreatedAt = now, UpdatedAt = now,
        }, cancellationToken);
        return await OneAsync(find, cancellationToken) ?? throw new StorageException("The webhook of single requests was removed at the moment it was made.") { MayPass = true };
    }

    public async Task<Webhook?> FindAsync(string projectId, string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = Command(connection, null, $"SELECT {WebhookRow.Webhook} FROM webhooks WHERE id = @id AND project_id = @project");
        command.AddParameter("@id", storage.Sql.Storable(id));
        command.AddParameter("@project", projectId);
        return await OneAsync(command, cancellationToken);
    }

    /// <summary>In the order of their making, those behind <paramref name="after"/>.</summary>
    public async Task<List<Webhook>> ListAsync(string projectId, string after, int limit, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = Command(connection, null, $"SELECT {WebhookRow.Webhook} FROM webhooks WHERE project_id = @project AND id > @after ORDER BY id LIMIT {limit.ToString(CultureInfo.InvariantCulture)}");
        command.AddParameter("@project", projectId);
        command.AddParameter("@after", after);
        var rows = new List<Webhook>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken)) rows.Add(WebhookRow.ReadWebhook(reader));
        return rows;
    }

    /// <summary>Changes what <paramref name="change"/> makes of it; null when there is none.</summary>
    public Task<Webhook?> ChangeAsync(string projectId, string id, Func<Webhook, Webhook> change, CancellationToken cancellationToken) => StorageRetry.RunAsync<Webhook?>(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await using var find = Command(connection, transaction, $"SELECT {WebhookRow.Webhook} FROM webhooks WHERE id = @id AND project_id = @project{storage.Sql.ForUpdate}");
        find.AddParameter("@id", storage.Sql.Storable(id));
        find.AddParameter("@project", projectId);
        if (await OneAsync(find, cancellationToken) is not { } known) return null;
        var changed = change(known) with { UpdatedAt = time.GetUtcNow() };
        // Who enables it again wants to see deliveries now, and another address has not asked for quiet.
        var revived = (changed.Enabled && !known.Enabled) || changed.Url != known.Url;
        await using var update = Command(connection, transaction, $"""
            UPDATE webhooks SET url = @url, description = @description, events = @events, secret = @secret, previous_secret = @previous, previous_until = @previous_until,
                status = @status, disabled_reason = @reason, failing_since = @failing, updated_at = @updated{(revived ? ", not_before = 0" : "")}
            WHERE id = @id
            """);
        AddColumns(update, changed);
        await update.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return changed;
    });

    /// <summary>Removes it with its deliveries; false when there is none.</summary>
    public Task<bool> DeleteAsync(string projectId, string id, CancellationToken cancellationToken) => StorageRetry.RunAsync<bool>(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = Command(connection, null, "DELETE FROM webhooks WHERE id = @id AND project_id = @project");
        command.AddParameter("@id", storage.Sql.Storable(id));
        command.AddParameter("@project", projectId);
        return await command.ExecuteNonQueryAsync(cancellationToken) > 0;
    });

    /// <summary>Forgets the webhooks of projects that are gone, which nobody can reach any more; returns how many.</summary>
    public async Task<int> ForgetOrphansAsync(CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = Command(connection, null, "DELETE FROM webhooks WHERE project_id NOT IN (SELECT id FROM projects)");
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private static DbCommand OfRequests(DbConnection connection, DbTransaction? transaction, string projectId)
    {
        var find = Command(connection, transaction, $"SELECT {WebhookRow.Webhook} FROM webhooks WHERE project_id = @project AND url IS NULL");
        find.AddParameter("@project", projectId);
        return find;
    }

    private static async Task InsertAsync(DbConnection connection, DbTransaction transaction, Webhook webhook, CancellationToken cancellationToken)
    {
        await using var command = Command(connection, transaction, """
            INSERT INTO webhooks (id, project_id, url, description, events, signature, secret, previous_secret, previous_until, status, disabled_reason, failing_since, not_before, created_at, updated_at)
            VALUES (@id, @project, @url, @description, @events, @signature, @secret, @previous, @previous_until, @status, @reason, @failing, 0, @created, @updated)
            ON CONFLICT DO NOTHING
            """);
        AddColumns(command, webhook);
        command.AddParameter("@project", webhook.ProjectId);
        command.AddParameter("@signature", WebhookRow.Signature(webhook.Key.Kind));
        command.AddParameter("@created", webhook.CreatedAt.ToUnixTimeMilliseconds());
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private static void AddColumns(DbCommand command, Webhook webhook)
    {
        command.AddParameter("@id", webhook.Id);
        command.AddParameter("@url", DbType.String, webhook.Url);
        command.AddParameter("@description", DbType.String, webhook.Description);
        command.AddParameter("@events", WebhookRow.Events(webhook.Events));
        command.AddParameter("@secret", webhook.Key.Secret.ToArray());
        command.AddParameter("@previous", DbType.Binary, webhook.PreviousKey?.Secret.ToArray());
        command.AddParameter("@previous_until", DbType.Int64, webhook.PreviousUntil?.ToUnixTimeMilliseconds());
        command.AddParameter("@status", webhook.Enabled ? "enabled" : "disabled");
        command.AddParameter("@reason", DbType.String, webhook.DisabledReason);
        command.AddParameter("@failing", DbType.Int64, webhook.FailingSince?.ToUnixTimeMilliseconds());
        command.AddParameter("@updated", webhook.UpdatedAt.ToUnixTimeMilliseconds());
    }

    private static async Task<Webhook?> OneAsync(DbCommand command, CancellationToken cancellationToken)
    {
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? WebhookRow.ReadWebhook(reader) : null;
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
}
