namespace Fairlead.Storage;

/// <summary>Transactions that PostgreSQL broke off because of others are begun again at once.</summary>
internal static class StorageRetry
{
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
            catch (Exception fault) when (attempt < Attempts && StorageFaults.IsBrokenOff(fault))
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
}
