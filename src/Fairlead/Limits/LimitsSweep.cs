using Fairlead.Access;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Limits;

/// <summary>Drops what organizations and keys that are idle leave in memory. One sweep for all.</summary>
internal sealed class LimitsSweep(
    LimitAccounts accounts, OutputHistories histories, TimeProvider time, ICurrentCallers? callers = null) : BackgroundService
{
    public static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                accounts.Sweep(callers);
                histories.Sweep();
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
        }
    }
}
