using System.Data;
using System.Data.Common;
using System.Globalization;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Generations.Events;
using Fairlead.Providers;
using Fairlead.Storage;
using Fairlead.Webhooks;

namespace Fairlead.Generations;

/// <summary>Generations in the database, either of the two. See <see cref="IGenerationStore"/>.</summary>
internal sealed class GenerationStore(IStorage storage, IWebhookOutbox outbox, TimeProvider time) : IGenerationStore
{
    private const string Head = """
        id, organization_id, project_id, key_id, request_id, dialect, endpoint, model, class_rank, status, outcome,
        created_at, available_at, started_at, ended_at, expires_at, deadline_at, runs, cancel_requested, result_status, returns, event_count, batch_id, batch_line, context, suspicion,
        LENGTH(request), COALESCE(LENGTH(result), 0) + COALESCE(LENGTH(details), 0) + COALESCE(LENGTH(progress), 0)
        """;

    private const int HeadColumns = 28;

    /// <summary>Bytes of events after which a read ends: its reader asks again.</summary>
    private const long MaxEventBytes = 1024 * 1024;

    private static readonly string[] Classes = [.. CallClasses.All];

    /// <summary>Suspicion of one that killed its process while it ran alone: it is only ended.</summary>
    private const int Convicted = -1;

    /// <summary>Deaths after which one is no longer taken for a bystander, whatever ran beside it.</summary>
    private const int MostDeaths = 3;

    private readonly SteadyClock _clock = new(time);

    public Task<bool> TryQueueAsync(GenerationRecord record, QueueLimits limits, CancellationToken cancellationToken) => StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await using var count = connection.CreateCommand();
        count.Transaction = transaction;
        // Of a project's requests one at a time, so that two do not take the last place.
        if (storage.Provider == StorageProvider.Postgres)
        {
            count.CommandText = "SELECT pg_advisory_xact_lock(hashtextextended(@project, 1718774117))";
            count.AddParameter("@project", record.ProjectId);
            await count.ExecuteNonQueryAsync(cancellationToken);
            count.Parameters.Clear();
        }
        // It has its place in the queue already, or has left it since.
        if (attempt.IsRepeat && await IsThereAsync(connection, transaction, record.Id, cancellationToken)) return true;
        count.CommandText = "SELECT COUNT(*), CAST(COALESCE(SUM(request_bytes), 0) AS BIGINT) FROM generations WHERE project_id = @project AND status = 'queued' AND batch_id IS NULL";
        count.AddParameter("@project", record.ProjectId);
        await using (var reader = await count.ExecuteReaderAsync(cancellationToken))
        {
            await reader.ReadAsync(cancellationToken);
            if (reader.GetInt64(0) >= limits.Jobs || reader.GetInt64(1) + record.Request.Length > limits.Bytes) return false;
        }
        await InsertAsync(connection, transaction, record, null, TimeSpan.Zero, cancellationToken);
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        return true;
    }, time);

    private static async Task<bool> IsThereAsync(DbConnection connection, DbTransaction transaction, string id, CancellationToken cancellationToken)
    {
        await using var find = connection.CreateCommand();
        find.Transaction = transaction;
        find.CommandText = "SELECT 1 FROM generations WHERE id = @id";
        find.AddParameter("@id", id);
        return await find.ExecuteScalarAsync(cancellationToken) is not null;
    }

    public Task AddAsync(GenerationRecord record, string? leaseOwner, TimeSpan lease, CancellationToken cancellationToken) => StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        attempt.Sending();
        await InsertAsync(connection, null, record, leaseOwner, lease, cancellationToken, attempt.IsRepeat);
        return true;
    }, time);

    public async Task AddAsync(DbConnection connection, DbTransaction transaction, IReadOnlyList<GenerationRecord> records, CancellationToken cancellationToken)
    {
        foreach (var record in records) await InsertAsync(connection, transaction, record, null, TimeSpan.Zero, cancellationToken);
    }

    private async Task InsertAsync(DbConnection connection, DbTransaction? transaction, GenerationRecord record, string? leaseOwner, TimeSpan lease, CancellationToken cancellationToken, bool unlessThere = false)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
#pragma warning disable CA2100 // Constants of this program.
        command.CommandText = $"""
            INSERT INTO generations (id, organization_id, project_id, key_id, request_id, dialect, endpoint, model, class_rank, status, created_at, available_at,
                started_at, deadline_at, runs, returns, cancel_requested, lease_owner, lease_until, result_status, request, request_bytes, context, webhook_url, batch_id, batch_line)
            VALUES (@id, @organization, @project, @key, @request_id, @dialect, @endpoint, @model, @class, @status, @created, @available,
                @started, @deadline, @runs, @returns, 0, @owner, {(leaseOwner is null ? "NULL" : Until)}, 0, @request, @request_bytes, @context, @webhook, @batch, @line){(unlessThere ? " ON CONFLICT (id) DO NOTHING" : "")}
            """;
#pragma warning restore CA2100
        command.AddParameter("@id", record.Id);
        command.AddParameter("@organization", record.OrganizationId);
        command.AddParameter("@project", record.ProjectId);
        command.AddParameter("@key", record.KeyId);
        command.AddParameter("@request_id", record.RequestId);
        command.AddParameter("@dialect", record.Dialect);
        command.AddParameter("@endpoint", record.Endpoint);
        command.AddParameter("@model", storage.Sql.Storable(record.Model));
        command.AddParameter("@class", Math.Max(0, Array.IndexOf(Classes, record.Class)));
        command.AddParameter("@status", record.Status.ToWire());
        command.AddParameter("@created", Ms(record.CreatedAt));
        command.AddParameter("@available", Ms(record.AvailableAt));
        AddNullable(command, "@started", record.StartedAt);
        AddNullable(command, "@deadline", record.Deadline);
        command.AddParameter("@runs", (long)record.Runs);
        command.AddParameter("@returns", (long)record.Returns);
        command.Parameters.Add(TextOrNull(command, "@owner", leaseOwner));
        AddLease(command, lease);
        command.AddParameter("@request", record.Request);
        command.AddParameter("@request_bytes", (long)record.Request.Length);
        command.AddParameter("@webhook", System.Data.DbType.String, record.WebhookUrl);
        command.AddParameter("@batch", System.Data.DbType.String, record.Batch?.BatchId);
        command.AddParameter("@line", System.Data.DbType.Int64, (long?)record.Batch?.Line);
        command.AddParameter("@context", JsonSerializer.SerializeToUtf8Bytes(record.Context, GenerationJsonContext.Default.RequestContext));
        if (transaction is null) await storage.Sql.WriteAsync(command, cancellationToken);
        else await command.ExecuteNonQueryAsync(cancellationToken);
    }

    public async Task<byte[]?> RequestAsync(string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT request FROM generations WHERE id = @id";
        command.AddParameter("@id", id);
        return await command.ExecuteScalarAsync(cancellationToken) as byte[];
    }

    public Task<GenerationRecord?> FindAsync(string projectId, string id, GenerationBodies bodies, Action<long>? count, CancellationToken cancellationToken) =>
        FindAsync(projectId, id, bodies, count, "(expires_at IS NULL OR expires_at > @now)", cancellationToken);

    public Task<GenerationRecord?> FindExpiredAsync(string projectId, string id, GenerationBodies bodies, Action<long>? count, CancellationToken cancellationToken) =>
        FindAsync(projectId, id, bodies, count, "expires_at <= @now AND result IS NOT NULL", cancellationToken);

    private async Task<GenerationRecord?> FindAsync(string projectId, string id, GenerationBodies bodies, Action<long>? count, string condition, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // Constants of this program.
        command.CommandText = $"SELECT {Head}{Columns(bodies)} FROM generations WHERE id = @id AND project_id = @project AND {condition}";
#pragma warning restore CA2100
        command.AddParameter("@id", storage.Sql.Storable(id));
        command.AddParameter("@project", projectId);
        command.AddParameter("@now", Ms(time.GetUtcNow()));
        // Column by column: the lengths come first, so that a body is counted before it is in memory.
        await using var reader = await command.ExecuteReaderAsync(CommandBehavior.SequentialAccess, cancellationToken);
        if (!await reader.ReadAsync(cancellationToken)) return null;
        var record = Read(reader);
        var column = HeadColumns;
        if (bodies.HasFlag(GenerationBodies.Request))
        {
            count?.Invoke(record.RequestBytes);
            record = record with { Request = await BytesOrNullAsync(reader, column++, cancellationToken) ?? [] };
        }
        if (bodies.HasFlag(GenerationBodies.Result))
        {
            if (record.ResultBytes > 0) count?.Invoke(record.ResultBytes);
            record = record with
            {
                Result = await BytesOrNullAsync(reader, column, cancellationToken),
                Details = await BytesOrNullAsync(reader, column + 1, cancellationToken),
                Progress = await BytesOrNullAsync(reader, column + 2, cancellationToken),
            };
        }
        return record;
    }

    public async Task<IReadOnlyList<GenerationRecord>> ListAsync(GenerationFilter filter, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        var where = "project_id = @project AND batch_id IS NULL AND (expires_at IS NULL OR expires_at > @now)";
        command.AddParameter("@project", filter.ProjectId);
        command.AddParameter("@now", Ms(time.GetUtcNow()));
        if (filter.Status is { } status)
        {
            where += " AND status = @status";
            command.AddParameter("@status", status.ToWire());
        }
        if (filter.Model is { } model)
        {
            where += " AND model = @model";
            command.AddParameter("@model", storage.Sql.Storable(model));
        }
        if (filter.CreatedAfter is { } since)
        {
            where += " AND created_at >= @since";
            command.AddParameter("@since", Ms(since));
        }
        if (filter.CreatedBefore is { } until)
        {
            where += " AND created_at < @until";
            command.AddParameter("@until", Ms(until));
        }
        if (filter.Before is { } before)
        {
            where += " AND id < @before";
            command.AddParameter("@before", storage.Sql.Storable(before));
        }
#pragma warning disable CA2100 // Values are parameters; the conditions are constants of this program.
        command.CommandText = string.Create(CultureInfo.InvariantCulture, $"SELECT {Head} FROM generations WHERE {where} ORDER BY id DESC LIMIT {filter.Limit}");
#pragma warning restore CA2100
        return await ReadAllAsync(command, cancellationToken);
    }

    private static string Columns(GenerationBodies bodies) => bodies switch
    {
        GenerationBodies.None => "",
        GenerationBodies.Request => ", request",
        GenerationBodies.Result => ", result, details, progress",
        _ => ", request, result, details, progress",
    };

    public async Task<LeasedGenerations> LeaseAsync(string owner, TimeSpan lease, int most, bool idle, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var suspect = await SuspectAsync(connection, null, cancellationToken);
        if (suspect is { Waits: true, Runs: false })
        {
            // No others beside it: this node takes nothing new until it is alone with it.
            return idle ? await StorageRetry.RunAsync(() => LeaseSuspectAsync(connection, owner, lease, cancellationToken)) : new LeasedGenerations([], IsClearing: true);
        }
        return await StorageRetry.RunAsync(async () =>
        {
            await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
            var taken = await TakeAsync(connection, transaction, owner, lease, $"status = 'queued' AND suspicion = 0 AND {Available} ORDER BY class_rank, created_at, id", most, cancellationToken);
            await transaction.CommitAsync(cancellationToken);
            return new LeasedGenerations(taken, IsClearing: false);
        });
    }

    private async Task<LeasedGenerations> LeaseSuspectAsync(DbConnection connection, string owner, TimeSpan lease, CancellationToken cancellationToken)
    {
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await storage.Sql.LockAsync(transaction, StorageLock.Suspects, cancellationToken);
        // Looked at again under the lock: one at a time, of all nodes.
        if (await SuspectAsync(connection, transaction, cancellationToken) is not { Waits: true, Runs: false }) return new LeasedGenerations([], IsClearing: false);
        var taken = await TakeAsync(connection, transaction, owner, lease, $"status = 'queued' AND suspicion <> 0 AND {Available} ORDER BY suspicion, class_rank, created_at, id", 1, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return new LeasedGenerations(taken, IsClearing: false);
    }

    /// <summary>Whether one waits for a run alone, and whether one has it.</summary>
    private async Task<(bool Waits, bool Runs)> SuspectAsync(DbConnection connection, DbTransaction? transaction, CancellationToken cancellationToken)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = $"""
            SELECT CAST(COALESCE(MAX(CASE WHEN status = 'queued' AND {Available} THEN 1 ELSE 0 END), 0) AS BIGINT), CAST(COALESCE(MAX(CASE WHEN status = 'in_progress' AND suspicion > 0 THEN 1 ELSE 0 END), 0) AS BIGINT)
            FROM generations WHERE suspicion <> 0 AND (status = 'queued' OR status = 'in_progress')
            """;
        AddClock(command);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return (reader.GetInt64(0) != 0, reader.GetInt64(1) != 0);
    }

    private async Task<IReadOnlyList<GenerationRecord>> TakeAsync(DbConnection connection, DbTransaction transaction, string owner, TimeSpan lease, string condition, int count, CancellationToken cancellationToken)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
#pragma warning disable CA2100 // Conditions are constants of this program.
        // Chosen once, apart: PostgreSQL may evaluate a subquery of the condition for each row, and then takes more than the limit.
        command.CommandText = string.Create(CultureInfo.InvariantCulture, $"""
            WITH chosen AS MATERIALIZED (SELECT id FROM generations WHERE {condition} LIMIT {count}{storage.Sql.ForUpdateSkipLocked})
            UPDATE generations SET status = 'in_progress', runs = runs + 1, started_at = COALESCE(started_at, @now), lease_owner = @owner, lease_until = {Until}, progress = NULL
            WHERE id IN (SELECT id FROM chosen)
            RETURNING {Head}
            """);
#pragma warning restore CA2100
        command.AddParameter("@now", Ms(time.GetUtcNow()));
        command.AddParameter("@owner", owner);
        AddLease(command, lease);
        var rows = await ReadAllAsync(command, cancellationToken);
        return [.. rows.OrderBy(row => Array.IndexOf(Classes, row.Class)).ThenBy(row => row.CreatedAt).ThenBy(row => row.Id, StringComparer.Ordinal)];
    }

    public Task<IReadOnlyList<GenerationRecord>> TakeOverAsync(string owner, TimeSpan lease, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        var began = time.GetTimestamp();
        await using var connection = await storage.OpenAsync(cancellationToken);
        // The usual look finds nothing, and must not wait for a writer to find that out.
        if (await DeadAsync(connection, null, owner, cancellationToken) is { Count: 0 }) return (IReadOnlyList<GenerationRecord>)[];

        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await storage.Sql.LockAsync(transaction, StorageLock.Suspects, cancellationToken);
        var dead = await DeadAsync(connection, transaction, owner, cancellationToken);
        var guilty = new List<GenerationRecord>();
        // One that is still connected was only slow: it has stopped its runs by its own clock, and they have killed nobody.
        var gone = new HashSet<string>(StringComparer.Ordinal);
        foreach (var process in dead.Select(one => one.Owner).Distinct(StringComparer.Ordinal))
        {
            if (await storage.Sql.IsGoneAsync(transaction, process, cancellationToken)) gone.Add(process);
        }
        // By id, as everybody locks them.
        foreach (var (id, leaseOwner, suspicion) in dead)
        {
            var died = gone.Contains(leaseOwner);
            var alone = dead.Count(other => other.Owner == leaseOwner) == 1;
            if (suspicion == Convicted || (died && suspicion > 0 && (alone || suspicion >= MostDeaths)))
            {
                guilty.AddRange(await ConvictAsync(connection, transaction, id, owner, lease, cancellationToken));
                continue;
            }
            await using var free = connection.CreateCommand();
            free.Transaction = transaction;
            free.CommandText = "UPDATE generations SET status = 'queued', available_at = created_at, lease_owner = NULL, lease_until = NULL, progress = NULL, returns = returns + 1, suspicion = suspicion + @deaths WHERE id = @id";
            free.AddParameter("@deaths", died ? 1L : 0L);
            free.AddParameter("@id", id);
            await free.ExecuteNonQueryAsync(cancellationToken);
        }
        // A look that hung ended with an outage of the database: what had run out by then may be renewed by now.
        if (time.GetElapsedTime(began) > StoreWatch.GapOf(lease)) return (IReadOnlyList<GenerationRecord>)[];
        await transaction.CommitAsync(cancellationToken);
        return guilty;
    });

    /// <summary>Runs of processes that are gone. One of which any lease still holds is not gone.</summary>
    private async Task<List<(string Id, string Owner, int Suspicion)>> DeadAsync(DbConnection connection, DbTransaction? transaction, string owner, CancellationToken cancellationToken)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
#pragma warning disable CA2100 // Constants of this program.
        command.CommandText = $"""
            SELECT id, lease_owner, suspicion FROM generations
            WHERE status = 'in_progress' AND lease_until < {storage.Sql.Clock} AND lease_owner <> @owner
                AND NOT EXISTS (SELECT 1 FROM generations held WHERE held.status = 'in_progress' AND held.lease_owner = generations.lease_owner AND held.lease_until >= {storage.Sql.Clock})
            ORDER BY id{(transaction is null ? " LIMIT 1" : storage.Sql.ForUpdate)}
            """;
#pragma warning restore CA2100
        command.AddParameter("@owner", owner);
        AddClock(command);
        var dead = new List<(string, string, int)>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken)) dead.Add((reader.GetString(0), reader.GetString(1), (int)reader.GetInt64(2)));
        return dead;
    }

    // In the row before anything else is tried: whoever goes on after another death does not run it either.
    private async Task<List<GenerationRecord>> ConvictAsync(DbConnection connection, DbTransaction transaction, string id, string owner, TimeSpan lease, CancellationToken cancellationToken)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
#pragma warning disable CA2100 // Constants of this program.
        command.CommandText = $"""
            UPDATE generations SET suspicion = {Convicted.ToString(CultureInfo.InvariantCulture)}, runs = runs + 1, returns = returns + 1, lease_owner = @owner, lease_until = {Until}, progress = NULL
            WHERE id = @id RETURNING {Head}
            """;
#pragma warning restore CA2100
        command.AddParameter("@id", id);
        command.AddParameter("@owner", owner);
        AddLease(command, lease);
        return await ReadAllAsync(command, cancellationToken);
    }

    public async Task<IReadOnlySet<string>> WaitingAsync(IReadOnlyCollection<string> ids, CancellationToken cancellationToken)
    {
        var waiting = new HashSet<string>(StringComparer.Ordinal);
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT 1 FROM generations WHERE id = @id AND status = 'queued'";
        command.AddParameter("@id", "");
        foreach (var id in ids)
        {
            command.Parameters["@id"].Value = id;
            if (await command.ExecuteScalarAsync(cancellationToken) is not null) waiting.Add(id);
        }
        return waiting;
    }

    public async Task<IReadOnlyList<(string Id, int Run)>> HeldByAsync(string owner, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT id, runs FROM generations WHERE status = 'in_progress' AND lease_owner = @owner ORDER BY id";
        command.AddParameter("@owner", owner);
        var held = new List<(string, int)>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken)) held.Add((reader.GetString(0), (int)reader.GetInt64(1)));
        return held;
    }

    public Task<IReadOnlyDictionary<string, bool>> RenewAsync(string owner, IReadOnlyCollection<RunProgress> runs, TimeSpan lease, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        var held = new Dictionary<string, bool>(StringComparer.Ordinal);
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
#pragma warning disable CA2100 // Constants of this program.
        command.CommandText = $"""
            UPDATE generations SET lease_until = {Until}, progress = COALESCE(@progress, progress)
            WHERE id = @id AND lease_owner = @owner AND runs = @run AND status = 'in_progress'
            RETURNING cancel_requested
            """;
#pragma warning restore CA2100
        AddLease(command, lease);
        command.AddParameter("@owner", owner);
        command.AddParameter("@id", "");
        command.AddParameter("@run", 0L);
        var progress = command.CreateParameter();
        progress.ParameterName = "@progress";
        progress.DbType = System.Data.DbType.Binary;
        command.Parameters.Add(progress);
        // By id, as everybody locks them.
        foreach (var run in runs.OrderBy(run => run.Id, StringComparer.Ordinal))
        {
            command.Parameters["@id"].Value = run.Id;
            command.Parameters["@run"].Value = (long)run.Run;
            progress.Value = (object?)run.Progress ?? DBNull.Value;
            if (await command.ExecuteScalarAsync(cancellationToken) is { } asked) held[run.Id] = Convert.ToInt64(asked, CultureInfo.InvariantCulture) != 0;
        }
        await transaction.CommitAsync(cancellationToken);
        return (IReadOnlyDictionary<string, bool>)held;
    });

    public Task<bool> EndAsync(string id, string owner, int run, GenerationEnd end, NewEvents last, CancellationToken cancellationToken) => StorageRetry.RunUntilKnownAsync(async attempt =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        if (last.Events.Count > 0 && !await AppendAsync(connection, transaction, owner, new RunEvents(id, run, last), cancellationToken)) return await HasEndedAsync();
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = $"{SetEnd} WHERE id = @id AND lease_owner = @owner AND runs = @run AND status = 'in_progress' RETURNING {Told}";
        AddEnd(command, id, end);
        command.AddParameter("@owner", owner);
        command.AddParameter("@run", (long)run);
        if (await EndAsync(connection, transaction, command, id, end, cancellationToken) is not { } events) return await HasEndedAsync();
        attempt.Sending();
        await transaction.CommitAsync(cancellationToken);
        if (events > 0) outbox.Announce();
        return true;

        // This very end, of which the response was lost. Another run would have another number, and another end another time or result.
        async Task<bool> HasEndedAsync()
        {
            await using var find = connection.CreateCommand();
            find.Transaction = transaction;
            find.CommandText = "SELECT 1 FROM generations WHERE id = @id AND runs = @run AND status = @status AND outcome = @outcome AND ended_at = @ended AND result_status = @result_status AND result = @result";
            AddEnd(find, id, end);
            find.AddParameter("@run", (long)run);
            if (await find.ExecuteScalarAsync(cancellationToken) is null) return false;
            outbox.Announce();
            return true;
        }
    }, time);

    public Task<IReadOnlySet<string>> AppendEventsAsync(string owner, IReadOnlyList<RunEvents> runs, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        var held = new HashSet<string>(StringComparer.Ordinal);
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        // By id, so that two writers never wait for each other.
        foreach (var events in runs.OrderBy(events => events.Id, StringComparer.Ordinal))
        {
            if (await AppendAsync(connection, transaction, owner, events, cancellationToken)) held.Add(events.Id);
        }
        await transaction.CommitAsync(cancellationToken);
        return (IReadOnlySet<string>)held;
    });

    public async Task<IReadOnlyList<GenerationEvent>> ReadEventsAsync(string id, int from, Action<long>? count, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        // Number from may stand within a batch.
        command.CommandText = """
            SELECT first_event, LENGTH(events), events FROM generation_events
            WHERE generation_id = @id AND first_event >= COALESCE((SELECT MAX(first_event) FROM generation_events WHERE generation_id = @id AND first_event <= @from), 0)
            ORDER BY first_event LIMIT 256
            """;
        command.AddParameter("@id", id);
        command.AddParameter("@from", (long)from);
        var events = new List<GenerationEvent>();
        var total = 0L;
        await using var reader = await command.ExecuteReaderAsync(CommandBehavior.SequentialAccess, cancellationToken);
        while (total < MaxEventBytes && await reader.ReadAsync(cancellationToken))
        {
            var skipped = (int)Math.Max(0, from - reader.GetInt64(0));
            var length = reader.GetInt64(1);
            total += length;
            // The row, and its texts as UTF-16.
            count?.Invoke(3 * length);
            events.AddRange(KeptEvents.Read(await reader.GetFieldValueAsync<byte[]>(2, cancellationToken)).Skip(skipped));
        }
        return events;
    }

    public async Task<(GenerationStatus Status, int Events)?> StateAsync(string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT status, event_count FROM generations WHERE id = @id";
        command.AddParameter("@id", id);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? (GenerationStatusNames.Parse(reader.GetString(0)), (int)reader.GetInt64(1)) : null;
    }

    private static async Task<bool> AppendAsync(DbConnection connection, DbTransaction transaction, string owner, RunEvents events, CancellationToken cancellationToken)
    {
        var made = events.Made;
        // The count is the fence: a repeated batch and another writer both find another one.
        await using var count = Of("UPDATE generations SET event_count = event_count + @new WHERE id = @id AND lease_owner = @owner AND runs = @run AND status = 'in_progress' AND event_count = @first");
        count.AddParameter("@new", (long)made.Events.Count);
        count.AddParameter("@first", (long)made.First);
        if (await count.ExecuteNonQueryAsync(cancellationToken) == 0)
        {
            await using var find = Of("SELECT event_count FROM generations WHERE id = @id AND lease_owner = @owner AND runs = @run AND status = 'in_progress'");
            if (await find.ExecuteScalarAsync(cancellationToken) is not { } found) return false;
            var written = (int)(Convert.ToInt64(found, CultureInfo.InvariantCulture) - made.First);
            if (written <= 0 || written > made.Events.Count || !await AreWrittenAsync(connection, transaction, events.Id, made, written, cancellationToken)) return false;
            var rest = new NewEvents(made.First + written, [.. made.Events.Skip(written)]);
            return rest.Events.Count == 0 || await AppendAsync(connection, transaction, owner, events with { Made = rest }, cancellationToken);
        }

        await using var insert = connection.CreateCommand();
        insert.Transaction = transaction;
        insert.CommandText = "INSERT INTO generation_events (generation_id, first_event, events) VALUES (@id, @first, @events)";
        insert.AddParameter("@id", events.Id);
        insert.AddParameter("@first", (long)made.First);
        insert.AddParameter("@events", KeptEvents.Write(made.Events));
        await insert.ExecuteNonQueryAsync(cancellationToken);
        return true;

        DbCommand Of(string text)
        {
            var command = connection.CreateCommand();
            command.Transaction = transaction;
#pragma warning disable CA2100 // Constants of this program.
            command.CommandText = text;
#pragma warning restore CA2100
            command.AddParameter("@id", events.Id);
            command.AddParameter("@owner", owner);
            command.AddParameter("@run", (long)events.Run);
            return command;
        }
    }

    /// <summary>Whether the first <paramref name="count"/> events of <paramref name="made"/> are those that the database has in their place, in whichever batches.</summary>
    private static async Task<bool> AreWrittenAsync(DbConnection connection, DbTransaction transaction, string id, NewEvents made, int count, CancellationToken cancellationToken)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "SELECT first_event, events FROM generation_events WHERE generation_id = @id AND first_event >= @first ORDER BY first_event";
        command.AddParameter("@id", id);
        command.AddParameter("@first", (long)made.First);
        var seen = 0;
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (seen < count && await reader.ReadAsync(cancellationToken))
        {
            var kept = reader.GetFieldValue<byte[]>(1);
            var length = KeptEvents.Read(kept).Count;
            if (reader.GetInt64(0) != made.First + seen || seen + length > count || !kept.AsSpan().SequenceEqual(KeptEvents.Write([.. made.Events.Skip(seen).Take(length)]))) return false;
            seen += length;
        }
        return seen == count;
    }

    public Task<GenerationReturn> ReturnAsync(string id, string owner, int run, TimeSpan pause, bool countRun, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await using var find = connection.CreateCommand();
        find.Transaction = transaction;
        find.CommandText = $"SELECT cancel_requested FROM generations WHERE id = @id AND lease_owner = @owner AND runs = @run AND status = 'in_progress'{storage.Sql.ForUpdate}";
        Identify(find);
        if (await find.ExecuteScalarAsync(cancellationToken) is not { } asked) return GenerationReturn.Lost;
        if (Convert.ToInt64(asked, CultureInfo.InvariantCulture) != 0) return GenerationReturn.CancelRequested;

        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        // A run that came to its end by itself has shown that it kills nobody.
        command.CommandText = $"""
            UPDATE generations SET status = 'queued', available_at = {(pause > TimeSpan.Zero ? $"{storage.Sql.Clock} + @pause" : "created_at")}, lease_owner = NULL, lease_until = NULL, progress = NULL, returns = returns + @returned,
                suspicion = {(countRun ? "0" : "suspicion")}
            WHERE id = @id AND lease_owner = @owner AND runs = @run AND status = 'in_progress'
            """;
        Identify(command);
        AddClock(command);
        command.AddParameter("@pause", (long)pause.TotalMilliseconds);
        command.AddParameter("@returned", countRun ? 0L : 1L);
        await command.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return GenerationReturn.Returned;

        void Identify(DbCommand named)
        {
            named.AddParameter("@id", id);
            named.AddParameter("@owner", owner);
            named.AddParameter("@run", (long)run);
        }
    });

    public Task<GenerationStatus?> CancelAsync(string projectId, string id, GenerationEnd end, CancellationToken cancellationToken) => StorageRetry.RunAsync<GenerationStatus?>(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await using var find = connection.CreateCommand();
        find.Transaction = transaction;
        find.CommandText = $"SELECT status FROM generations WHERE id = @id AND project_id = @project AND (expires_at IS NULL OR expires_at > @now){storage.Sql.ForUpdate}";
        find.AddParameter("@id", storage.Sql.Storable(id));
        find.AddParameter("@project", projectId);
        find.AddParameter("@now", Ms(time.GetUtcNow()));
        if (await find.ExecuteScalarAsync(cancellationToken) is not string found) return null;
        var status = GenerationStatusNames.Parse(found);
        var events = 0;
        if (status is GenerationStatus.Queued or GenerationStatus.InProgress)
        {
            await using var change = connection.CreateCommand();
            change.Transaction = transaction;
            if (status == GenerationStatus.Queued)
            {
                change.CommandText = $"{SetEnd} WHERE id = @id RETURNING {Told}";
                AddEnd(change, id, end);
                events = await EndAsync(connection, transaction, change, id, end, cancellationToken) ?? 0;
            }
            else
            {
                change.CommandText = "UPDATE generations SET cancel_requested = 1 WHERE id = @id";
                change.AddParameter("@id", id);
                await change.ExecuteNonQueryAsync(cancellationToken);
            }
        }
        await transaction.CommitAsync(cancellationToken);
        if (events > 0) outbox.Announce();
        return status;
    });

    public async Task ReleaseAllAsync(CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "UPDATE generations SET lease_until = 0 WHERE status = 'in_progress'";
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    public async Task<int> PositionAsync(GenerationRecord record, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT COUNT(*) FROM generations WHERE status = 'queued' AND (class_rank, created_at, id) < (@class, @created, @id)";
        command.AddParameter("@class", (long)Math.Max(0, Array.IndexOf(Classes, record.Class)));
        command.AddParameter("@created", Ms(record.CreatedAt));
        command.AddParameter("@id", record.Id);
        return Convert.ToInt32(await command.ExecuteScalarAsync(cancellationToken), CultureInfo.InvariantCulture);
    }

    public Task<bool> ForgetAsync(string projectId, string id, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        // What was made goes at once; the row follows with the expired ones, and with it what hangs on it.
        command.CommandText = "UPDATE generations SET expires_at = @now, result = NULL, details = NULL, event_count = 0 WHERE id = @id AND project_id = @project AND expires_at > @now";
        command.AddParameter("@id", storage.Sql.Storable(id));
        command.AddParameter("@project", projectId);
        command.AddParameter("@now", Ms(time.GetUtcNow()));
        if (await command.ExecuteNonQueryAsync(cancellationToken) == 0) return false;
        await using var events = connection.CreateCommand();
        events.Transaction = transaction;
        events.CommandText = "DELETE FROM generation_events WHERE generation_id = @id";
        events.AddParameter("@id", id);
        await events.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return true;
    });

    public Task<int> ExpireAsync(DateTimeOffset now, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var expired = new List<string>();
        await using (var command = connection.CreateCommand())
        {
            command.Transaction = transaction;
            command.CommandText = $"DELETE FROM generations WHERE id IN (SELECT id FROM generations WHERE expires_at < @now LIMIT 1000{storage.Sql.ForUpdateSkipLocked}) RETURNING id";
            command.AddParameter("@now", Ms(now));
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken)) expired.Add(reader.GetString(0));
        }
        await using var events = connection.CreateCommand();
        events.Transaction = transaction;
        events.CommandText = "DELETE FROM generation_events WHERE generation_id = @id";
        events.AddParameter("@id", "");
        foreach (var id in expired)
        {
            events.Parameters["@id"].Value = id;
            await events.ExecuteNonQueryAsync(cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
        return expired.Count;
    });

    /// <summary>What receivers are told of a generation that ended.</summary>
    private const string Told = "project_id, dialect, model, created_at, webhook_url, batch_id";

    // The news stands and falls with the end that it tells of. Null when there was nothing to end.
    private async Task<int?> EndAsync(DbConnection connection, DbTransaction transaction, DbCommand command, string id, GenerationEnd end, CancellationToken cancellationToken)
    {
        WebhookEvent news;
        await using (var row = await command.ExecuteReaderAsync(cancellationToken))
        {
            if (!await row.ReadAsync(cancellationToken)) return null;
            // Of a batch only its own end is told: nobody wants fifty thousand words of its lines.
            if (!row.IsDBNull(5)) return 0;
            news = GenerationNews.Of(id, end, row.GetString(0), row.GetString(1), row.GetString(2), Time(row, 3)!.Value, row.IsDBNull(4) ? null : row.GetString(4));
        }
        return await outbox.AddAsync(connection, transaction, news, cancellationToken);
    }

    private const string SetEnd = """
        UPDATE generations SET status = @status, outcome = @outcome, ended_at = @ended, expires_at = @expires, result_status = @result_status,
            result = @result, details = @details, progress = NULL, lease_owner = NULL, lease_until = NULL
        """;

    private static void AddEnd(DbCommand command, string id, GenerationEnd end)
    {
        command.AddParameter("@id", id);
        command.AddParameter("@status", end.Status.ToWire());
        command.AddParameter("@outcome", end.Outcome.ToWire());
        command.AddParameter("@ended", Ms(end.EndedAt));
        command.AddParameter("@expires", Ms(end.ExpiresAt));
        command.AddParameter("@result_status", (long)end.ResultStatus);
        command.AddParameter("@result", end.Result);
        command.AddParameter("@details", end.Details);
    }

    private static async Task<List<GenerationRecord>> ReadAllAsync(DbCommand command, CancellationToken cancellationToken)
    {
        var rows = new List<GenerationRecord>();
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken)) rows.Add(Read(reader));
        return rows;
    }

    // In the order of the columns, which a sequential reader needs.
    private static GenerationRecord Read(DbDataReader row) => new()
    {
        Id = row.GetString(0),
        OrganizationId = row.GetString(1),
        ProjectId = row.GetString(2),
        KeyId = row.GetString(3),
        RequestId = row.GetString(4),
        Dialect = row.GetString(5),
        Endpoint = row.GetString(6),
        Model = row.GetString(7),
        Class = Classes[row.GetInt64(8)],
        Status = GenerationStatusNames.Parse(row.GetString(9)),
        Outcome = row.IsDBNull(10) ? null : GenerationStatusNames.ParseOutcome(row.GetString(10)),
        CreatedAt = Time(row, 11)!.Value,
        AvailableAt = Time(row, 12)!.Value,
        StartedAt = Time(row, 13),
        EndedAt = Time(row, 14),
        ExpiresAt = Time(row, 15),
        Deadline = Time(row, 16),
        Runs = (int)row.GetInt64(17),
        CancelRequested = row.GetInt64(18) != 0,
        ResultStatus = (int)row.GetInt64(19),
        Returns = (int)row.GetInt64(20),
        EventCount = (int)row.GetInt64(21),
        Batch = row.IsDBNull(22) ? null : new BatchPlace(row.GetString(22), (int)row.GetInt64(23)),
        Context = JsonSerializer.Deserialize(row.GetFieldValue<byte[]>(24), GenerationJsonContext.Default.RequestContext) ?? RequestContext.Empty,
        Suspicion = (int)row.GetInt64(25),
        RequestBytes = row.GetInt64(26),
        ResultBytes = row.GetInt64(27),
        Request = [],
    };

    private static async ValueTask<byte[]?> BytesOrNullAsync(DbDataReader row, int column, CancellationToken cancellationToken) =>
        await row.IsDBNullAsync(column, cancellationToken) ? null : await row.GetFieldValueAsync<byte[]>(column, cancellationToken);

    private static DateTimeOffset? Time(DbDataReader row, int column) => row.IsDBNull(column) ? null : DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(column));

    /// <summary>Its pause is over. One that never paused waits for no clock: the clock that gave it its time may have been set back since.</summary>
    private string Available => $"(available_at <= created_at OR available_at <= {storage.Sql.Clock})";

    /// <summary>The end of a lease that begins now.</summary>
    private string Until => $"{storage.Sql.Clock} + @lease";

    private void AddLease(DbCommand command, TimeSpan lease)
    {
        command.AddParameter("@lease", (long)lease.TotalMilliseconds);
        AddClock(command);
    }

    private void AddClock(DbCommand command)
    {
        if (storage.Provider == StorageProvider.Sqlite) command.AddParameter("@clock", Ms(_clock.UtcNow));
    }

    private static long Ms(DateTimeOffset at) => at.ToUnixTimeMilliseconds();

    // A null without a type is one that PostgreSQL cannot place.
    private static void AddNullable(DbCommand command, string name, DateTimeOffset? at)
    {
        var parameter = command.CreateParameter();
        parameter.ParameterName = name;
        parameter.DbType = System.Data.DbType.Int64;
        parameter.Value = at is { } known ? Ms(known) : DBNull.Value;
        command.Parameters.Add(parameter);
    }

    private static DbParameter TextOrNull(DbCommand command, string name, string? value)
    {
        var parameter = command.CreateParameter();
        parameter.ParameterName = name;
        parameter.DbType = System.Data.DbType.String;
        parameter.Value = (object?)value ?? DBNull.Value;
        return parameter;
    }
}
