using Microsoft.Extensions.Hosting;

namespace Fairlead.Limits.Redis;

/// <summary>
/// Shows Redis every two seconds that this node and its calls are alive, so that they count. After a failure, or after Redis has lost
/// everything, the same restores what this node holds. Does nothing without Redis.
/// </summary>
internal sealed class RedisHeartbeat(RedisRates rates, RedisWatch watch, TimeProvider time) : BackgroundService
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    /// <summary>While Redis is unavailable.</summary>
    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(500);

    /// <summary>How long a start waits for Redis, and a stop for the last settlements.</summary>
    private static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(3);

    /// <summary>The first calls count in Redis if it responds soon. Otherwise the node starts without it.</summary>
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        if (!rates.IsEnabled) return;
        using var limit = new CancellationTokenSource(MaxWait, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            await rates.BeatAsync(both.Token);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            rates.NotResponding();
        }
        await base.StartAsync(cancellationToken);
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        if (!rates.IsEnabled) return;
        using var limit = new CancellationTokenSource(MaxWait, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            await rates.LeaveAsync(both.Token);
        }
        catch (OperationCanceledException)
        {
            // The other nodes count this one until its lease ends.
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await Task.WhenAll(BeatAsync(stoppingToken), watch.RunAsync(time, stoppingToken));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    private async Task BeatAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            await Task.Delay(rates.IsAvailable ? Interval : RetryInterval, time, stoppingToken);
            await rates.BeatAsync(stoppingToken);
        }
    }
}
