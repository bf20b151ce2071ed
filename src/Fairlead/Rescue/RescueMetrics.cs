using System.Diagnostics.Metrics;
using Fairlead.Telemetry;

namespace Fairlead.Rescue;

/// <summary>Counts rescues. Thread-safe.</summary>
internal sealed class RescueMetrics : IDisposable
{
    private readonly Meter _meter;
    private readonly Counter<long> _rescues;

    public RescueMetrics(IMeterFactory meters)
    {
        _meter = meters.Create(GatewayTelemetry.Name);
        _rescues = _meter.CreateCounter<long>("fairlead.stream.rescues", "{rescue}",
            "Streams that were lost after content, by whether they were continued.");
    }

    /// <summary>The stream was continued by another attempt.</summary>
    /// <param name="byText">Whether a model continued the text, instead of another run that reproduced it.</param>
    public void Continued(bool byText) => Add(byText ? "prefill" : "rerun");

    /// <summary>It was not.</summary>
    public void Failed() => Add("failed");

    public void Dispose() => _meter.Dispose();

    private void Add(string result) => _rescues.Add(1, new KeyValuePair<string, object?>("fairlead.rescue.result", result));
}
