using Fairlead.Catalogue;
using Fairlead.Catalogue.States;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Routing.Probes;

/// <summary>
/// Probes the deployments that are configured with a <c>probe</c>: one at a time for each, at its interval, and none while it is drained.
/// </summary>
internal sealed class DeploymentProber(
    ICatalogue catalogue, DeploymentHealths healths, DeploymentStates states, ProbeRunner runner, TimeProvider time) : BackgroundService
{
    /// <summary>A reload of the configuration takes effect within this time.</summary>
    private static readonly TimeSpan MaxPause = TimeSpan.FromSeconds(1);

    private readonly Dictionary<string, ProbeSchedule> _schedules = new(StringComparer.Ordinal);

    /// <summary>Ends with the probes that run now.</summary>
    internal Task Running => Task.WhenAll(_schedules.Values.Select(schedule => schedule.Running));

    /// <summary>Starts the probes that are due. Returns the time until the next one is, at most a second.</summary>
    internal TimeSpan Step(CancellationToken stoppingToken)
    {
        Update();
        var now = time.GetTimestamp();
        var pause = MaxPause;
        foreach (var schedule in _schedules.Values)
        {
            var next = now + (long)(schedule.Deployment.Probe!.Interval.TotalSeconds * time.TimestampFrequency);
            if (now >= schedule.DueAt && schedule.IsFree)
            {
                schedule.DueAt = next;
                if (!states.IsDrained(schedule.Deployment.Name))
                    schedule.Start(runner.RunAsync(schedule.Deployment, schedule.Model, stoppingToken));
            }
            // Nobody knows when one ends that takes longer than the interval.
            var nextProbe = now >= schedule.DueAt ? next : schedule.DueAt;
            healths.Of(schedule.Deployment).ProbedAt(schedule.HasVerdict ? nextProbe : null);
            // One that is due but still runs is looked at again soon.
            var left = schedule.DueAt > now ? time.GetElapsedTime(now, schedule.DueAt) : TimeSpan.FromMilliseconds(50);
            if (left < pause) pause = left;
        }
        return pause;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true) await Task.Delay(Step(stoppingToken), time, stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops. What runs is cancelled too, and still recorded.
            await Running;
        }
    }

    // Several models may list a deployment; the shortest interval applies.
    private void Update()
    {
        var probed = catalogue.Current.Models
            .SelectMany(model => model.Deployments, (model, deployment) => (model, deployment))
            .Where(entry => entry.deployment.Probe is not null)
            .GroupBy(entry => entry.deployment.Name, StringComparer.Ordinal)
            .ToDictionary(same => same.Key, same => same.MinBy(entry => entry.deployment.Probe!.Interval), StringComparer.Ordinal);
        foreach (var (name, schedule) in _schedules.Where(entry => !probed.ContainsKey(entry.Key)).ToArray())
        {
            healths.Of(schedule.Deployment).ProbedAt(null);
            _schedules.Remove(name);
        }
        foreach (var (name, (model, deployment)) in probed)
        {
            if (_schedules.TryGetValue(name, out var known)) (known.Deployment, known.Model) = (deployment, model);
            else _schedules[name] = new ProbeSchedule(deployment, model);
        }
    }
}
