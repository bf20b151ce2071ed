using Fairlead.Pipeline;

namespace Fairlead.Telemetry;

/// <summary>Not ready once the program was asked to stop.</summary>
internal sealed class DrainReadinessCheck(DrainState drain) : IReadinessCheck
{
    public string Name => "drain";

    public ValueTask<string?> CheckAsync(CancellationToken cancellationToken) =>
        ValueTask.FromResult(drain.IsDraining ? "shutting down" : null);
}
