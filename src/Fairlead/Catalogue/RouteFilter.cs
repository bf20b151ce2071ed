using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Catalogue;

/// <summary>Applies the wishes of a request to the deployments of its model. Pure.</summary>
internal static class RouteFilter
{
    /// <summary>The deployments that the request may use, in the order of the model.</summary>
    public static IReadOnlyList<Deployment> Apply(IReadOnlyList<Deployment> deployments, RouteHints? hints, DateTimeOffset at) =>
        hints is null or { Only: null, Exclude.Count: 0, MaxInputPrice: null, MaxOutputPrice: null }
            ? deployments
            : Filter(deployments, hints, at);

    /// <summary>Why the request leaves no deployment of a model, or null.</summary>
    /// <param name="model">The model.</param>
    /// <param name="hints">The wishes.</param>
    /// <param name="at">Time of the prices.</param>
    /// <param name="field">Name of the field in the dialect.</param>
    public static GatewayError? Check(CatalogueModel model, RouteHints hints, DateTimeOffset at, string field)
    {
        if (Apply(model.Deployments, hints, at).Count > 0) return null;
        var names = string.Join(", ", model.Deployments.Select(deployment => deployment.Name));
        return GatewayError.Invalid(field,
            $"No deployment of `{model.Id}` satisfies it. The model has: {names}.") with
        {
            Remedy = "Name providers or deployments that the model has, raise the highest price, or leave the field out.",
        };
    }

    /// <summary>Whether a name in a request means the deployment.</summary>
    public static bool IsNamed(Deployment deployment, string name) => name == deployment.ProviderName || name == deployment.Name;

    // Not in the caller: what its lambda captures would be allocated for every call.
    private static Deployment[] Filter(IReadOnlyList<Deployment> deployments, RouteHints hints, DateTimeOffset at) =>
        [.. deployments.Where(deployment => IsAllowed(deployment, hints, at))];

    private static bool IsAllowed(Deployment deployment, RouteHints hints, DateTimeOffset at)
    {
        if (hints.Only is { } only && !only.Any(name => IsNamed(deployment, name))) return false;
        if (hints.Exclude.Any(name => IsNamed(deployment, name))) return false;
        if (hints is { MaxInputPrice: null, MaxOutputPrice: null }) return true;
        var prices = deployment.Prices.At(at);
        return !(prices.Input > hints.MaxInputPrice) && !(prices.Output > hints.MaxOutputPrice);
    }
}
