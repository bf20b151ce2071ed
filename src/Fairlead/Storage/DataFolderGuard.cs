using Microsoft.Extensions.Hosting;

namespace Fairlead.Storage;

/// <summary>
/// Locks the data folder before any service starts, unless it is locked already. Must be the first of the hosted services.
/// </summary>
internal sealed class DataFolderGuard(DataFolderLock folder, IHostApplicationLifetime lifetime) : IHostedLifecycleService, IDisposable
{
    private CancellationTokenRegistration _stopping;

    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        // For a signal to stop. If an app is stopped by its own code, the drain does this.
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
