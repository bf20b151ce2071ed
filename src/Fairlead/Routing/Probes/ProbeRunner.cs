using Fairlead.Catalogue;
using Microsoft.Extensions.Logging;

namespace Fairlead.Routing.Probes;

/// <summary>Makes one probe and reports its result to the health of the deployment. Thread-safe.</summary>
/// <remarks>
/// A probe neither waits for a slot nor takes one, and counts in no limit. One that fails counts like a failed call. One that succeeds closes
/// an open breaker; otherwise it does not count, because it must not hide that calls fail.
/// </remarks>
internal sealed class ProbeRunner(
    DeploymentHealths healths, ProbeCall calls, RoutingMetrics metrics, TimeProvider time, ILogger<ProbeRunner> logger)
{
    /// <summary>A probe ends itself at its timeout. One of a provider that ignores that is left alone this much later.</summary>
    internal static readonly TimeSpan Backstop = TimeSpan.FromSeconds(10);

    /// <summary>Never throws.</summary>
    public async Task<ProbeResult> RunAsync(Deployment deployment, CatalogueModel model, CancellationToken cancellationToken)
    {
        var probe = deployment.Probe!;
        var ticket = healths.Of(deployment).EnterProbe();
        // Not on the caller's thread, which starts all probes: a registered client may block.
        var running = Task.Run(() => probe.Path is { } path
            ? RequestAsync(deployment, path, probe.Timeout, ticket, cancellationToken)
            : calls.RunAsync(deployment, model, ticket, cancellationToken), CancellationToken.None);
        try
        {
            var verdict = await running.WaitAsync(probe.Timeout + Backstop, time, CancellationToken.None);
            if (verdict == HealthVerdict.Works) ticket.Succeeded();
            Probed(deployment, verdict);
            return new ProbeResult(verdict != HealthVerdict.None, Task.CompletedTask);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The server stops.
            return new ProbeResult(true, Task.CompletedTask);
        }
        catch (TimeoutException) when (!running.IsCompleted)
        {
            ticket.Ended(HealthVerdict.Failed);
            Probed(deployment, HealthVerdict.Failed);
            RoutingLog.ProbeHangs(logger, deployment.Name, (probe.Timeout + Backstop).TotalSeconds);
            return new ProbeResult(false, IgnoreAsync(running));
        }
        catch (Exception exception)
        {
            RoutingLog.ProbeBroken(logger, deployment.Name, exception);
            return new ProbeResult(false, Task.CompletedTask);
        }
        finally
        {
            ticket.GiveBack();
        }
    }

    private void Probed(Deployment deployment, HealthVerdict verdict)
    {
        metrics.Probed(deployment.Name, verdict);
        if (verdict == HealthVerdict.Failed) RoutingLog.ProbeFailed(logger, deployment.Name);
    }

    private static async Task IgnoreAsync(Task task) => await task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    private static async Task<HealthVerdict> RequestAsync(
        Deployment deployment, string path, TimeSpan timeout, HealthTicket ticket, CancellationToken cancellationToken)
    {
        var response = await deployment.Provider.RequestPathAsync(path, timeout, cancellationToken);
        var verdict = response switch
        {
            // Another key is used from now on.
            { HasOtherKey: true } => HealthVerdict.None,
            // It responds, to as many as it can serve.
            { Status: (>= 200 and < 300) or 429 } => HealthVerdict.Works,
            _ => HealthVerdict.Failed,
        };
        if (verdict == HealthVerdict.Failed) ticket.Ended(verdict);
        return verdict;
    }
}
