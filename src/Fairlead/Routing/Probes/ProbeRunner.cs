using Fairlead.Catalogue;
using Microsoft.Extensions.Logging;

namespace Fairlead.Routing.Probes;

/// <summary>Makes one probe and reports its result to the health of the deployment. Thread-safe.</summary>
/// <remarks>
/// A probe neither waits for a slot nor takes one, and counts in no limit. One that fails counts like a failed call. One that succeeds closes
/// an open breaker; otherwise it does not count, because it must not hide that calls fail.
/// </remarks>
internal sealed class ProbeRunner(DeploymentHealths healths, ProbeCall calls, RoutingMetrics metrics, ILogger<ProbeRunner> logger)
{
    /// <summary>Never throws.</summary>
    public async Task RunAsync(Deployment deployment, CatalogueModel model, CancellationToken cancellationToken)
    {
        var ticket = healths.Of(deployment).EnterProbe();
        try
        {
            var verdict = deployment.Probe is { Path: { } path } probe
                ? await RequestAsync(deployment, path, probe.Timeout, ticket, cancellationToken)
                : await calls.RunAsync(deployment, model, ticket, cancellationToken);
            if (verdict == HealthVerdict.Works && ticket.IsTest) ticket.Succeeded();
            metrics.Probed(deployment.Name, verdict);
            if (verdict == HealthVerdict.Failed) RoutingLog.ProbeFailed(logger, deployment.Name);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The server stops.
        }
        catch (Exception exception)
        {
            RoutingLog.ProbeBroken(logger, deployment.Name, exception);
        }
        finally
        {
            ticket.GiveBack();
        }
    }

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
