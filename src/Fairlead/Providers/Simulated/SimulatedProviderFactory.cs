using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.TokenCounting;

namespace Fairlead.Providers.Simulated;

internal sealed class SimulatedProviderFactory(TokenCounter counter) : IProviderFactory
{
    public IReadOnlyList<string> Kinds { get; } = ["simulated"];

    public Provider Create(string name, ProviderConfig config) => new SimulatedProvider(name, config, counter);

    public IEnumerable<CatalogueFault> Check(ProviderConfig config)
    {
        var simulation = config.Simulation;
        if (!SimulationDirectives.TryParse(simulation.Faults, out _, out var fault)) yield return new("simulation.faults", simulation.Faults, fault);
        if (simulation.FirstToken < TimeSpan.Zero || simulation.FirstToken > TimeSpan.FromHours(1)) yield return new("simulation.firstToken", $"{simulation.FirstToken}", "Use a duration from 0ms to 1h.");
        if (simulation.TokensPerSecond is { } pace && !(pace is >= 0.01 and <= 100_000)) yield return new("simulation.tokensPerSecond", $"{pace}", "Use a number from 0.01 to 100000.");
    }
}
