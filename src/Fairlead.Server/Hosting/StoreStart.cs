using Fairlead.Storage;

namespace Fairlead.Server.Hosting;

/// <summary>Waits for a database that starts at the same time as the gateway, as after a restart of a machine or cluster.</summary>
internal static class StoreStart
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    /// <summary>As long as a database takes to recover from a hard stop. After that, the supervisor restarts the program.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <exception cref="StorageException">It is not available in time, or the error is permanent.</exception>
    public static async Task WaitAsync(IStorage storage, TimeProvider time, TextWriter error, CancellationToken cancellationToken)
    {
        var since = time.GetTimestamp();
        var said = false;
        while (true)
        {
            try
            {
                await storage.EnsureReadyAsync(cancellationToken);
                return;
            }
            catch (StorageException fault) when (fault.IsTransient && time.GetElapsedTime(since) < Patience)
            {
                if (!said) await error.WriteLineAsync($"Waiting up to {Patience.TotalSeconds:0} s for the database. {fault.Message}");
                said = true;
                await Task.Delay(Pause, time, cancellationToken);
            }
        }
    }
}
