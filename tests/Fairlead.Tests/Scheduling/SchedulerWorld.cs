using System.Diagnostics.Metrics;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Pipeline;
using Fairlead.Scheduling;
using Fairlead.Tests.Limits;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Scheduling;

/// <summary>A scheduler with a catalogue and a configuration that a test can replace.</summary>
internal sealed class SchedulerWorld : IConfigurationSource, ICatalogue, ICatalogueSnapshot, IDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly SchedulingMetrics _metrics;

    public SchedulerWorld(params CatalogueModel[] models)
    {
        Models = models;
        Slots = new DeploymentSlots(Time);
        _metrics = new SchedulingMetrics(_services.GetRequiredService<IMeterFactory>(), Slots);
        Scheduler = new Scheduler(Slots, this, this, _metrics, Time, NullLogger<Scheduler>.Instance);
    }

    public ObservedTimeProvider Time { get; } = new(new DateTimeOffset(2026, 11, 30, 12, 0, 0, TimeSpan.Zero));

    public DeploymentSlots Slots { get; }

    public Scheduler Scheduler { get; }

    public GatewayConfiguration Current { get; } = new();

    public IReadOnlyList<CatalogueModel> Models { get; private set; }

    ICatalogueSnapshot ICatalogue.Current => this;

    public event Action<GatewayConfiguration>? Changed;

    public CatalogueModel? Find(string name) => Models.FirstOrDefault(model => model.Id == name);

    /// <summary>The catalogue is replaced.</summary>
    public void Reload(params CatalogueModel[] models)
    {
        Models = models;
        Changed?.Invoke(Current);
    }

    public static CatalogueModel ModelOf(string id, params Deployment[] deployments) =>
        new() { Id = id, OwnedBy = "test", Deployments = deployments };

    public GatewayCall CallOf(CatalogueModel model, string organization = "a") =>
        LimitCalls.Of(Time, LimitCalls.CallerOf(organizationId: organization), model);

    public void Dispose()
    {
        Scheduler.Dispose();
        _metrics.Dispose();
        _services.Dispose();
    }
}
