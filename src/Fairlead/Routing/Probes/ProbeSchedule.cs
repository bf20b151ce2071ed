using Fairlead.Catalogue;

namespace Fairlead.Routing.Probes;

/// <summary>When the deployment of one name is probed next. For one thread.</summary>
/// <param name="deployment">The deployment as the newest catalogue has it.</param>
/// <param name="model">The first model that lists it.</param>
internal sealed class ProbeSchedule(Deployment deployment, CatalogueModel model)
{
    public Deployment Deployment { get; set; } = deployment;

    public CatalogueModel Model { get; set; } = model;

    /// <summary>Timestamp from which the next one is started.</summary>
    public long DueAt { get; set; }

    /// <summary>The last one that was started.</summary>
    public Task Running { get; set; } = Task.CompletedTask;
}
