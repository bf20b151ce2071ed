namespace Fairlead.Storage;

/// <summary>Runs transactions again: those that PostgreSQL broke off because of others, and those whose commit may or may not have taken effect.</summary>
internal static class StorageRetry
{
    /// <summary>How long a write waits for the database to say what became of it. A client waits meanwhile.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    /// <summary>More than this in a row is no accident any more.</summary>
    private const int Attempts = 10;

    /// <summary>Runs <paramref name="transaction"/> from its beginning; again while it ends in a deadlock (40P01) or a serialization failure (40001), after which nothing of it was written.</summary>
    public static async Task<T> RunAsync<T>(Func<Task<T>> transaction)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await transaction();
            }
            catch (Exception fault) when (attempt < Attempts && StorageErrors.IsBrokenOff(fault))
            {
                // At once: whoever was in the way has gone on.
            }
        }
    }

    /// <inheritdoc cref="RunAsync{T}"/>
    public static Task RunAsync(Func<Task> transaction) => RunAsync(async () =>
    {
        await transaction();
        return true;
    });

    /// <summary>
    /// Runs a write that may be repeated: told by <see cref="CommitAttempt.IsRepeat"/>, it finds what an earlier try has written. Where the response to a commit was lost,
    /// it is run again until the database says whether it was written. A broken-off transaction is begun again as by <see cref="RunAsync{T}"/>.
    /// </summary>
    /// <param name="write">The write, which says when it commits. A look alone would not do in its place: the lost commit may still be under way, and only a write of the same key waits for it.</param>
    /// <param name="time">Measures the patience.</param>
    /// <exception cref="UnknownCommitException">The database was unavailable for longer than a client should wait.</exception>
    public static async Task<T> RunUntilKnownAsync<T>(Func<CommitAttempt, Task<T>> write, TimeProvider time)
    {
        var brokenOff = 0;
        long? lostAt = null;
        while (true)
        {
            var attempt = new CommitAttempt(lostAt is not null);
            try
            {
                return await write(attempt);
            }
            catch (Exception fault) when (StorageErrors.IsBrokenOff(fault) && ++brokenOff < Attempts)
            {
                continue;
            }
            catch (Exception fault) when (lostAt is not null ? StorageErrors.IsStoreError(fault) && !StorageErrors.IsContradiction(fault) : attempt.IsSent && StorageErrors.MayHaveCommitted(fault))
            {
                if (lostAt is null)
                {
                    // At once: mostly one connection broke, and the next one is at hand.
                    lostAt = time.GetTimestamp();
                    continue;
                }
                if (time.GetElapsedTime(lostAt.Value) >= Patience) throw new UnknownCommitException(fault);
            }
            await Task.Delay(Pause, time, CancellationToken.None);
        }
    }
}
