using Fairlead.Catalogue;

namespace Fairlead.Routing.Probes;

/// <summary>When the deployment of one name is probed next. For one thread; probes may end on others.</summary>
/// <param name="deployment">The deployment as the newest catalogue has it.</param>
/// <param name="model">The first model that lists it.</param>
internal sealed class ProbeSchedule(Deployment deployment, CatalogueModel model)
{
    private volatile ProbeResult _last = new(true, Task.CompletedTask);

    public Deployment Deployment { get; set; } = deployment;

    public CatalogueModel Model { get; set; } = model;

    /// <summary>Timestamp from which the next one is started.</summary>
    public long DueAt { get; set; }

    /// <summary>Ends when the result of the last one that was started is known.</summary>
    public Task Running { get; private set; } = Task.CompletedTask;

    /// <summary>Whether the last one that ended had a verdict, so that only probes test the deployment.</summary>
    public bool HasVerdict => _last.HasVerdict;

    /// <summary>Whether nothing of the last one runs any more.</summary>
    public bool IsFree => Running.IsCompleted && _last.Unfinished.IsCompleted;

    /// <summary>Takes over the next one.</summary>
    public void Start(Task<ProbeResult> probe) => Running = EndAsync(probe);

    private async Task EndAsync(Task<ProbeResult> probe) => _last = await probe;
}
