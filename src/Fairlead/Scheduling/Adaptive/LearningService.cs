using Microsoft.Extensions.Hosting;

namespace Fairlead.Scheduling.Adaptive;

/// <summary>Moves the learned limits, off the path of calls. One tick for all deployments.</summary>
internal sealed class LearningService(DeploymentSlots slots, TimeProvider time) : BackgroundService
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken)) slots.Learn();
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
        }
    }
}
