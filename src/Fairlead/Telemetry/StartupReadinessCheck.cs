using Microsoft.Extensions.Hosting;

namespace Fairlead.Telemetry;

/// <summary>Not ready before the program has finished starting.</summary>
internal sealed class StartupReadinessCheck(IHostApplicationLifetime lifetime) : IReadinessCheck
{
    public string Name => "startup";

    public ValueTask<string?> CheckAsync(CancellationToken cancellationToken) =>
        ValueTask.FromResult(lifetime.ApplicationStarted.IsCancellationRequested ? null : "starting");
}
