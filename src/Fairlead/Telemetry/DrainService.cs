using Fairlead.Configuration;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Telemetry;

/// <summary>
/// The shutdown between SIGTERM and the end. 1. Readiness fails and new calls are refused with <c>shutting_down</c>, while the listeners
/// still respond. 2. Open calls continue, at most for the drain limit. 3. What is still open ends with its own error event. 4. Only then
/// the web server stops.
/// </summary>
internal sealed class DrainService(DrainState drain, DataFolderLock folder, IConfigurationSource configuration, TimeProvider time,
    ILogger<DrainService> logger) : IHostedLifecycleService
{
    /// <summary>The time that ended calls have to write their last event and their record.</summary>
    internal static readonly TimeSpan LastResponses = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(50);

    // Before any StopAsync, so that the listeners are still open.
    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        drain.Begin();
        folder.Drain();
        var limit = configuration.Current.DrainTimeout;
        if (drain.Active > 0) logger.Draining(drain.Active, limit.TotalSeconds);
        if (await EmptyWithinAsync(limit, cancellationToken))
        {
            // A reader of what another node generates can continue there.
            drain.End();
            return;
        }
        logger.DrainLimitReached(drain.Active);
        drain.ReachLimit();
        await EmptyWithinAsync(LastResponses, cancellationToken);
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    private async Task<bool> EmptyWithinAsync(TimeSpan limit, CancellationToken cancellationToken)
    {
        var since = time.GetTimestamp();
        while (drain.Active > 0)
        {
            var left = limit - time.GetElapsedTime(since);
            if (left <= TimeSpan.Zero) return false;
            try
            {
                await Task.Delay(left < Look ? left : Look, time, cancellationToken);
            }
            catch (OperationCanceledException)
            {
                // The host's shutdown timeout is over.
                return false;
            }
        }
        return true;
    }
}
