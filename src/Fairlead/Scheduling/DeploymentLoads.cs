using Fairlead.Catalogue;
using Fairlead.Scheduling.Adaptive;

namespace Fairlead.Scheduling;

/// <summary>The load of deployments and models at this moment. Thread-safe.</summary>
internal sealed class DeploymentLoads(DeploymentSlots slots)
{
    /// <summary>The deployment as it is now.</summary>
    public DeploymentLoad Of(Deployment deployment)
    {
        if (slots.Find(deployment.Name) is not { } slot) return new DeploymentLoad { Limit = deployment.MaxConcurrency };
        var (requests, tokens) = slot.Quota.Left(deployment.KeyIds);
        return new DeploymentLoad
        {
            Limit = slot.Limit is var limit and < LearnedLimit.None ? limit : null,
            InFlight = slot.Taken,
            Queued = slot.HasWaiting ? slots.WaitingFor(deployment.Name) : 0,
            Held = slot.Quota.WaitFor(deployment.UsableKeyIds, 1),
            RequestsLeft = requests,
            TokensLeft = tokens,
            Statistics = slot.Statistics,
        };
    }

    /// <summary>All deployments of a model together, for limits that move with them.</summary>
    public ModelLoad Of(CatalogueModel model)
    {
        var (isLimited, rateLimited, taken, limits) = (false, 0L, 0L, 0L);
        foreach (var deployment in model.Deployments)
        {
            var configured = deployment.MaxConcurrency ?? LearnedLimit.None;
            if (slots.Find(deployment.Name) is not { } slot)
            {
                limits += configured;
                continue;
            }
            var limit = slot.Limit;
            isLimited |= slot.IsBelowMaximum || slot.Quota.WaitFor(deployment.UsableKeyIds, 1) > TimeSpan.Zero;
            rateLimited += slot.Statistics.RateLimited;
            taken += slot.Taken;
            limits += limit;
        }
        return new ModelLoad(slots.WaitingOf(model.Id), isLimited, rateLimited,
            limits >= LearnedLimit.None ? 0 : taken / (double)limits);
    }
}
