using Fairlead.Storage;

namespace Fairlead.Server.Hosting;

/// <summary>Waits for a database that starts beside the gateway, as machines and clusters start everything at once.</summary>
internal static class StoreStart
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    /// <summary>As long as a database takes to recover from a hard stop; whoever supervises the program starts it again after that.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <exception cref="StorageException">It is not there in time, or will not be without help.</exception>
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
            catch (StorageException fault) when (fault.MayPass && time.GetElapsedTime(since) < Patience)
            {
                if (!said) await error.WriteLineAsync($"Waiting up to {Patience.TotalSeconds:0} s for the database. {fault.Message}");
                said = true;
                await Task.Delay(Pause, time, cancellationToken);
            }
        }
    }
}
