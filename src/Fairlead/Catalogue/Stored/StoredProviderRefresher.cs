using Fairlead.Configuration;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Catalogue.Stored;

/// <summary>Reads the stored providers before the server listens, then once a second, because another node may have changed them.</summary>
internal sealed class StoredProviderRefresher(
    StoredProviders providers, StoredProviderNames names, IConfigurationSource configuration, TimeProvider time,
    ILogger<StoredProviders> logger) : BackgroundService
{
    /// <summary>Half of the two seconds within which a change is in force on every node; the other half is for reading.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <exception cref="ConfigurationException">A provider of the configuration has the name of a stored one.</exception>
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await providers.RefreshAsync(cancellationToken);
        if (names.Check(configuration.Current).ToList() is { Count: > 0 } errors) throw new ConfigurationException(errors);
        await base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        var isFailing = false;
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                try
                {
                    await providers.RefreshAsync(stoppingToken);
                    if (isFailing) StoredProvidersLog.Recovered(logger);
                    isFailing = false;
                }
                catch (Exception exception) when (exception is not OperationCanceledException)
                {
                    // Once per outage, not once per second.
                    if (!isFailing) StoredProvidersLog.Unreadable(logger, exception.Message);
                    isFailing = true;
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
        }
    }
}
