using System.Globalization;
using Fairlead.Pipeline;

namespace Fairlead.Identity;

/// <summary>
/// What shapes the output outside the body: the cap that a budget sets, the check and repair of structured output, the deployments that
/// the request wants, headers that are forwarded, and the simulation.
/// </summary>
internal sealed class OutputIdentity : IIdentityPart
{
    public void Add(GatewayCall call, IdentityHash hash)
    {
        hash.Add(call.OutputCap);
        hash.Add(call.Facts.Extension.Structured);
        hash.Add(call.Facts.Structured is not null);
        hash.Add(call.Facts.Structured is { Repairs: true });
        Add(call.Facts.Extension.Route, hash);
        hash.Add(call.AnthropicVersion);
        hash.Add(call.AnthropicBeta);
        hash.Add(call.Simulate);
    }

    // Another deployment may have another version of the model.
    private static void Add(RouteHints? route, IdentityHash hash)
    {
        hash.Add(route is not null);
        if (route is null) return;
        Add(route.Order, hash);
        hash.Add(route.Only is not null);
        Add(route.Only ?? [], hash);
        Add(route.Exclude, hash);
        hash.Add(route.MaxInputPrice?.ToString(CultureInfo.InvariantCulture));
        hash.Add(route.MaxOutputPrice?.ToString(CultureInfo.InvariantCulture));
        hash.Add((long)route.Prefer);
    }

    private static void Add(IReadOnlyList<string> names, IdentityHash hash)
    {
        hash.Length(names.Count);
        foreach (var name in names) hash.Add(name);
    }
}
