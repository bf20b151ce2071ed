using Fairlead.Catalogue;
using Fairlead.TokenCounting;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Providers.Simulated;

/// <summary>The kind <c>simulated</c>: models that need no key and no network. Its provider is always available.</summary>
internal sealed record SimulatedProviderKind : ProviderKind
{
    public const string KindName = "simulated";

    public SimulatedProviderKind()
        : base(KindName, static (name, config, services) =>
            new SimulatedProvider(name, config, services.GetRequiredService<TokenCounter>()))
    {
        ModelOwner = KindName;
        HasOnlyItsOwnModels = true;
        TakesSimulation = true;
        EnvironmentProviders = [new(KindName)];
    }

    public override IEnumerable<CatalogueError> Check(ProviderConfig config)
    {
        var simulation = config.Simulation;
        if (!SimulationDirectives.TryParse(simulation.Faults, out _, out var error))
        {
            yield return new("simulation.faults", simulation.Faults, error);
        }
        if (simulation.FirstToken < TimeSpan.Zero || simulation.FirstToken > TimeSpan.FromHours(1))
        {
            yield return new("simulation.firstToken", $"{simulation.FirstToken}", "Use a duration from 0ms to 1h.");
        }
        if (simulation.TokensPerSecond is { } pace && !(pace is >= 0.01 and <= 100_000))
        {
            yield return new("simulation.tokensPerSecond", $"{pace}", "Use a number from 0.01 to 100000.");
        }
    }
}
