using Fairlead.Pipeline;

namespace Fairlead.Telemetry;

/// <summary>Not ready from the moment the program was asked to stop.</summary>
internal sealed class DrainReadinessCheck(DrainState drain) : IReadinessCheck
{
    public string Name => "drain";

    public ValueTask<string?> CheckAsync(CancellationToken cancellationToken) => ValueTask.FromResult(drain.IsDraining ? "shutting down" : null);
}
