using Fairlead.Providers;
using Fairlead.Providers.Http;
using Fairlead.Providers.OpenAi;
using Fairlead.Providers.Simulated;

namespace Fairlead.Server.Failover;

/// <summary>
/// The kind <c>simulated</c> as a provider with OpenAI's API. It makes its responses itself otherwise; in the suite, all of them come from
/// one place, which has the faults.
/// </summary>
internal static class RedirectedSimulatedKind
{
    /// <summary>It replaces the built-in kind of this name, and offers the same models.</summary>
    public static ProviderKind Create() => (ProviderKind)new SimulatedProviderKind() with { Create = CreateProvider };

    private static OpenAiProvider CreateProvider(string name, ProviderConfig config, IServiceProvider services) => new(
        name,
        config with { Kind = "openai-compatible", BaseUrl = "http://simulated.invalid/v1", Simulation = new() },
        services.GetRequiredService<UpstreamClientFactory>(),
        services.GetRequiredService<ProviderKinds>());
}
