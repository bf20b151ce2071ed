using Yarp.ReverseProxy.Configuration;

namespace Fairlead.Benchmarks;

/// <summary>YARP with one route and nothing else: the baseline for a .NET gateway.</summary>
internal static class BareProxy
{
    public static async Task<int> RunAsync(string url, string target)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(url);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Limits.MaxRequestBodySize = null);
        builder.Services.AddReverseProxy().LoadFromMemory(
            [new RouteConfig { RouteId = "all", ClusterId = "upstream", Match = new RouteMatch { Path = "/{**path}" } }],
            [new ClusterConfig { ClusterId = "upstream",
                Destinations = new Dictionary<string, DestinationConfig> { ["one"] = new() { Address = target } } }]);
        var app = builder.Build();
        app.MapReverseProxy();
        await app.RunAsync();
        return 0;
    }
}
