using System.Diagnostics.Metrics;
using Fairlead.Catalogue;
using Fairlead.Catalogue.States;
using Fairlead.Configuration;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Pipeline;
using Fairlead.Routing;
using Fairlead.Routing.Probes;
using Fairlead.Scheduling;
using Fairlead.Tests.Catalogue;
using Fairlead.Tests.Dialects;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Routing;

/// <summary>Health and selection of deployments in virtual time, with a fixed sequence of random numbers.</summary>
internal sealed class RoutingWorld : IDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly RoutingMetrics _metrics;
    private readonly Random _random = new(5);

    public RoutingWorld()
    {
        _metrics = new RoutingMetrics(_services.GetRequiredService<IMeterFactory>());
        Configuration = new FakeConfigurationSource(new GatewayConfiguration());
        Healths = new DeploymentHealths(Configuration, _metrics, Time, NullLogger<DeploymentHealths>.Instance);
        Selector = new DeploymentSelector(new RoutingRandom(_random.NextDouble), Healths, States);
    }

    public FakeTimeProvider Time { get; } = new();

    public FakeConfigurationSource Configuration { get; }

    public DeploymentHealths Healths { get; }

    public DeploymentStates States { get; } = new();

    public DeploymentSelector Selector { get; }

    public static Deployment At(string name, int priority = 1, int weight = 1, decimal price = 1) => new()
    {
        Name = name + "/m",
        ProviderName = name,
        UpstreamModel = "m",
        Priority = priority,
        Weight = weight,
        Prices = new PriceList([new DatedPrices(DateTimeOffset.MinValue, new ModelPrices(price, price))]),
    };

    /// <summary>A chat call of a model with these deployments.</summary>
    public static GatewayCall Call(SelectionStrategy strategy, IReadOnlyList<Deployment> deployments, string members = "\"messages\":[]")
    {
        var call = DialectCalls.Of(OpenAiChatDialect.Create(), "{\"model\":\"fast\"," + members + "}");
        call.Model = call.Model with { Strategy = strategy, Deployments = deployments };
        return call;
    }

    public static GatewayCall With(GatewayCall call, RouteHints hints)
    {
        call.Facts.Extension = new CallExtension { Route = hints };
        return call;
    }

    /// <summary>Whether a meter belongs to this world and not to a test that runs at the same time.</summary>
    public bool IsOwn(Meter meter) => meter.Scope == _services.GetRequiredService<IMeterFactory>();

    /// <summary>Tells the slots which deployments are closed.</summary>
    public DeploymentAvailability AvailabilityOf(DeploymentSlots slots, ICatalogue catalogue) =>
        new(Healths, States, slots, Configuration, catalogue, _metrics);

    /// <summary>Probes the paths of a catalogue's deployments. Tiny calls cannot be made.</summary>
    public DeploymentProber ProberOf(ICatalogue catalogue) =>
        new(catalogue, Healths, States, new ProbeRunner(Healths, null!, _metrics, Time, NullLogger<ProbeRunner>.Instance), Time);

    /// <summary>Names of the providers in the order of the selection.</summary>
    public string Order(GatewayCall call) => string.Join(' ', Selector.Select(call).Deployments.Select(deployment => deployment.ProviderName));

    public void Dispose()
    {
        _metrics.Dispose();
        _services.Dispose();
    }
}
