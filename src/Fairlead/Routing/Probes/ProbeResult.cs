namespace Fairlead.Routing.Probes;

/// <summary>What became of a probe.</summary>
/// <param name="HasVerdict">Whether it says if the deployment works. A deployment whose probes do not is tested by calls.</param>
/// <param name="Unfinished">What still runs of it, because the provider ignored its timeout.</param>
internal sealed record ProbeResult(bool HasVerdict, Task Unfinished);
