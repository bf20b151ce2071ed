namespace Fairlead.Storage;

/// <summary>
/// Runs transactions again: those that PostgreSQL rolled back because of others, and those whose commit may or may not have taken effect.
/// </summary>
internal static class StorageRetry
{
    /// <summary>How long a write with an unknown outcome is repeated. A client waits meanwhile.</summary>
    private static readonly TimeSpan UnknownTimeout = TimeSpan.FromSeconds(3);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    /// <summary>After this many failures in a row, the error is returned.</summary>
    private const int MaxAttempts = 10;

    /// <summary>
    /// Runs <paramref name="transaction"/>, and runs it again after a deadlock (40P01) or a serialization failure (40001), which write
    /// nothing.
    /// </summary>
    public static async Task<T> RunAsync<T>(Func<Task<T>> transaction)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await transaction();
            }
            catch (Exception fault) when (attempt < MaxAttempts && StorageErrors.IsRolledBack(fault))
            {
                // Without a pause: the other transaction has continued.
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
    /// Runs a write that can be repeated: if <see cref="CommitAttempt.IsRepeat"/>, it accepts what an earlier try has written. If the
    /// response to a commit was lost, it is run again until the outcome is known. A transaction that was rolled back is run again as by
    /// <see cref="RunAsync{T}"/>.
    /// </summary>
    /// <param name="write">
    /// The write; it reports when it commits. Reading instead would not be enough: the lost commit may still be in progress, and only a
    /// write of the same key waits for it.
    /// </param>
    /// <param name="time">The clock.</param>
    /// <exception cref="UnknownCommitException">The database was unavailable for longer than a client should wait.</exception>
    public static async Task<T> RunUntilKnownAsync<T>(Func<CommitAttempt, Task<T>> write, TimeProvider time)
    {
        var rolledBack = 0;
        long? lostAt = null;
        while (true)
        {
            var attempt = new CommitAttempt(lostAt is not null);
            try
            {
                return await write(attempt);
            }
            catch (Exception fault) when (StorageErrors.IsRolledBack(fault) && ++rolledBack < MaxAttempts)
            {
                continue;
            }
            catch (Exception fault) when (lostAt is not null
                ? StorageErrors.IsStoreError(fault) && !StorageErrors.IsConstraintViolation(fault)
                : attempt.IsSent && StorageErrors.MayHaveCommitted(fault))
            {
                if (lostAt is null)
                {
                    // Without a pause: usually only one connection was lost, and the next one works.
                    lostAt = time.GetTimestamp();
                    continue;
                }
                if (time.GetElapsedTime(lostAt.Value) >= UnknownTimeout) throw new UnknownCommitException(fault);
            }
            await Task.Delay(Pause, time, CancellationToken.None);
        }
    }
}
