namespace Fairlead.Providers.Simulated;

internal static class SimulatedWait
{
    /// <summary>
    /// Waits until <paramref name="due"/> after <paramref name="startedAt"/> (a timestamp); returns at once if that is past.
    /// </summary>
    public static async ValueTask UntilAsync(TimeProvider time, long startedAt, TimeSpan due, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        while (due - time.GetElapsedTime(startedAt) is var left && left > TimeSpan.Zero)
        {
            // Timers count in milliseconds and round down.
            await Task.Delay(TimeSpan.FromMilliseconds(Math.Ceiling(left.TotalMilliseconds)), time, cancellationToken);
        }
    }
}
