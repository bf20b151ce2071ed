using System.Data.Common;
using Fairlead.Conversation;
using Fairlead.Storage;

namespace Fairlead.Generations.Events;

/// <summary>The events of generations in the database. A change is committed when its method returns. Thread-safe.</summary>
internal sealed class GenerationEventStore(IStorage storage)
{
    /// <summary>A read ends after so many bytes; its caller reads on.</summary>
    private const long MaxReadBytes = 1024 * 1024;

    /// <summary>
    /// Appends what runs have produced, in order. Returns the ids of the runs that still have their generation; nothing was written for the
    /// others. Events that an earlier call has written are not written again, even if more have been added since.
    /// </summary>
    public Task<IReadOnlySet<string>> AppendAsync(string owner, IReadOnlyList<RunEvents> runs, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync<IReadOnlySet<string>>(async () =>
    {
        var held = new HashSet<string>(StringComparer.Ordinal);
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        // By id: all transactions lock rows in this order.
        foreach (var events in runs.OrderBy(events => events.Id, StringComparer.Ordinal))
        {
            if (await AppendAsync(connection, owner, events, cancellationToken)) held.Add(events.Id);
        }
        await transaction.CommitAsync(cancellationToken);
        return held;
    });

    /// <summary>
    /// Appends events of one run in the transaction that is open on <paramref name="connection"/>. False if another run has the generation,
    /// or the database has other events in their place.
    /// </summary>
    public static async Task<bool> AppendAsync(DbConnection connection, string owner, RunEvents events, CancellationToken cancellationToken)
    {
        var made = events.Made;
        (string, SqlValue)[] run = [("@id", events.Id), ("@owner", owner), ("@run", events.Run)];
        // The number of events is the fence: a repeated batch, or another writer, finds a different number.
        var updated = await connection.ExecuteAsync(
            $"UPDATE generations SET event_count = event_count + @new WHERE {GenerationSql.IsHeldByRun} AND event_count = @first",
            [.. run, ("@new", made.Events.Count), ("@first", made.First)], cancellationToken);
        if (updated == 0)
        {
            var count = await connection.Int64Async(
                $"SELECT event_count FROM generations WHERE {GenerationSql.IsHeldByRun}", run, cancellationToken);
            if (count is null) return false;
            var written = (int)(count.Value - made.First);
            if (written <= 0 || written > made.Events.Count) return false;
            if (!await AreWrittenAsync(connection, events.Id, made, written, cancellationToken)) return false;
            var rest = new NewEvents(made.First + written, [.. made.Events.Skip(written)]);
            return rest.Events.Count == 0 || await AppendAsync(connection, owner, events with { Made = rest }, cancellationToken);
        }

        await connection.ExecuteAsync(
            "INSERT INTO generation_events (generation_id, first_event, events) VALUES (@id, @first, @events)",
            [("@id", events.Id), ("@first", made.First), ("@events", KeptEvents.Write(made.Events))], cancellationToken);
        return true;
    }

    /// <summary>
    /// Whether the database has the first <paramref name="count"/> events of <paramref name="made"/> in their place, in whichever batches.
    /// </summary>
    private static async Task<bool> AreWrittenAsync(
        DbConnection connection, string id, NewEvents made, int count, CancellationToken cancellationToken)
    {
        var same = 0;
        await connection.ReadInOrderAsync(
            "SELECT first_event, events FROM generation_events WHERE generation_id = @id AND first_event >= @first ORDER BY first_event",
            [("@id", id), ("@first", made.First)],
            async row =>
            {
                var first = row.Int64("first_event");
                var stored = await row.BytesAsync("events", cancellationToken);
                var length = KeptEvents.Read(stored).Count;
                if (first != made.First + same || same + length > count) return false;
                if (!stored.AsSpan().SequenceEqual(KeptEvents.Write([.. made.Events.Skip(same).Take(length)]))) return false;
                same += length;
                return same < count;
            },
            cancellationToken);
        return same == count;
    }

    /// <summary>
    /// Stored events from number <paramref name="from"/> on: about a megabyte at most, unless one batch is longer. Empty if there are no
    /// more so far.
    /// </summary>
    /// <param name="id">The generation.</param>
    /// <param name="from">Number of the first event.</param>
    /// <param name="count">
    /// Called with the memory that a batch takes before it is read; throws if the process has no memory for it. Null to count nothing.
    /// </param>
    /// <param name="cancellationToken">Stops the query.</param>
    public async Task<IReadOnlyList<GenerationEvent>> ReadAsync(
        string id, int from, Action<long>? count, CancellationToken cancellationToken)
    {
        var events = new List<GenerationEvent>();
        var total = 0L;
        await using var connection = await storage.OpenAsync(cancellationToken);
        // The event with this number may be in the middle of a batch.
        await connection.ReadInOrderAsync(
            """
            SELECT first_event, LENGTH(events) AS events_length, events FROM generation_events
            WHERE generation_id = @id AND first_event >= COALESCE(
                (SELECT MAX(first_event) FROM generation_events WHERE generation_id = @id AND first_event <= @from), 0)
            ORDER BY first_event LIMIT 256
            """,
            [("@id", id), ("@from", from)],
            async row =>
            {
                var skipped = (int)Math.Max(0, from - row.Int64("first_event"));
                var length = row.Int64("events_length");
                total += length;
                // The row, and its texts as UTF-16.
                count?.Invoke(3 * length);
                events.AddRange(KeptEvents.Read(await row.BytesAsync("events", cancellationToken)).Skip(skipped));
                return total < MaxReadBytes;
            },
            cancellationToken);
        return events;
    }

    /// <summary>Status of a generation and number of its stored events; null if no generation has this id.</summary>
    public async Task<(GenerationStatus Status, int Events)?> StateAsync(string id, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.FirstOrDefaultAsync<(GenerationStatus, int)?>(
            "SELECT status, event_count FROM generations WHERE id = @id", [("@id", id)],
            row => (GenerationStatusNames.Parse(row.Text("status")), row.Int32("event_count")), cancellationToken);
    }
}

/// <summary>Events that one run has produced.</summary>
internal sealed record RunEvents(string Id, int Run, NewEvents Made);

/// <summary>Events in order, and their place among all events of their generation.</summary>
/// <param name="First">Number of the first of them. The database must have exactly so many before, or have these already.</param>
/// <param name="Events">The events.</param>
internal sealed record NewEvents(int First, IReadOnlyList<GenerationEvent> Events)
{
    public static readonly NewEvents None = new(0, []);
}
