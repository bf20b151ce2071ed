using Microsoft.Extensions.Hosting;

namespace Fairlead.Storage;

/// <summary>Takes the data folder before any service starts, where nothing has taken it before. The first of the hosted services.</summary>
internal sealed class DataFolderGuard(DataFolderLock folder, IHostApplicationLifetime lifetime) : IHostedLifecycleService, IDisposable
{
    private CancellationTokenRegistration _stopping;

    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        // A signal to stop is told by this first; an app that is stopped by its own code, by the drain.
        _stopping = lifetime.ApplicationStopping.Register(folder.Drain);
        await folder.HoldAsync(null, cancellationToken);
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => _stopping.Dispose();
}
