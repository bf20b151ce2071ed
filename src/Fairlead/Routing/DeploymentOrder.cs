using Fairlead.Catalogue;

namespace Fairlead.Routing;

/// <summary>The order in which deployments are tried: by priority, and among equals at random by weight.</summary>
internal static class DeploymentOrder
{
    /// <param name="deployments">In ascending priority, as in the catalogue.</param>
    /// <param name="random">A number in [0, 1), drawn once for each position that is decided at random.</param>
    public static IReadOnlyList<Deployment> Of(IReadOnlyList<Deployment> deployments, Func<double> random)
    {
        if (deployments.Count < 2) return deployments;
        var distinct = true;
        for (var i = 1; i < deployments.Count && distinct; i++) distinct = deployments[i].Priority != deployments[i - 1].Priority;
        if (distinct) return deployments;

        var ordered = new List<Deployment>(deployments.Count);
        for (var start = 0; start < deployments.Count;)
        {
            var end = start + 1;
            while (end < deployments.Count && deployments[end].Priority == deployments[start].Priority) end++;
            var group = deployments.Skip(start).Take(end - start).ToList();
            while (group.Count > 0)
            {
                var chosen = Draw(group, random());
                ordered.Add(group[chosen]);
                group.RemoveAt(chosen);
            }
            start = end;
        }
        return ordered;
    }

    private static int Draw(List<Deployment> group, double random)
    {
        var target = random * group.Sum(deployment => Math.Max(0, deployment.Weight));
        for (var i = 0; i < group.Count; i++)
        {
            target -= Math.Max(0, group[i].Weight);
            if (target < 0) return i;
        }
        // All weights are zero, or rounding: use the first listed.
        return 0;
    }
}
