namespace Fairlead.Telemetry;

/// <summary>How a call in progress is counted in the gauges.</summary>
internal enum CallTrace
{
    /// <summary>Not, or no longer.</summary>
    None,
    Call,
    Stream,
}
