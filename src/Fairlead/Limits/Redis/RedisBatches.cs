namespace Fairlead.Limits.Redis;

/// <summary>Sends many commands of the background a few at a time: calls share their connection, and wait for what was sent before.</summary>
internal static class RedisBatches
{
    /// <summary>Commands that wait at the same time. Together they take Redis a few milliseconds.</summary>
    public const int MaxParallel = 16;

    /// <summary>Runs <paramref name="command"/> for all items. The first failure stops it.</summary>
    public static Task ForEachAsync<T>(IEnumerable<T> items, Func<T, Task> command) => Parallel.ForEachAsync(
        items, new ParallelOptions { MaxDegreeOfParallelism = MaxParallel }, async (item, _) => await command(item));
}
