using System.Collections.Concurrent;
using Fairlead.Auditing.Spooling;
using Fairlead.Configuration;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Delivery;

/// <summary>
/// Visits all open streams once a second: sends a comment to quiet ones, and writes a checkpoint to the spool for those with new output.
/// One sweep instead of a timer for each stream. Thread-safe.
/// </summary>
internal sealed class StreamSweep(ISpool spool, IConfigurationSource configuration, TimeProvider time, ILogger<StreamSweep> logger)
    : BackgroundService
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<OpenStream, bool> _open = new();

    /// <summary>Number of open streams.</summary>
    public int Count => _open.Count;

    public void Add(OpenStream stream) => _open[stream] = true;

    public void Remove(OpenStream stream) => _open.TryRemove(stream, out _);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Period, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken)) Sweep(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host stops.
        }
    }

    internal void Sweep(CancellationToken cancellationToken)
    {
        var pause = configuration.Current.Stream.KeepAlive;
        foreach (var (stream, _) in _open)
        {
            try
            {
                if (stream.TakeProgress()) spool.AttemptProgressed(stream.Call, stream.Call.Progressing!);
                // Not awaited: a client that does not read delays only its own stream.
                _ = KeepAliveAsync(stream, pause, cancellationToken);
            }
            catch (Exception exception)
            {
                // One stream that just ended must not stop the sweep for the others.
                CallLog.SweepFailed(logger, stream.Call.RequestId, exception);
            }
        }
    }

    private async Task KeepAliveAsync(OpenStream stream, TimeSpan pause, CancellationToken cancellationToken)
    {
        try
        {
            await stream.KeepAliveAsync(pause, cancellationToken);
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            CallLog.SweepFailed(logger, stream.Call.RequestId, exception);
        }
        catch (OperationCanceledException)
        {
            // The host stops.
        }
    }
}
