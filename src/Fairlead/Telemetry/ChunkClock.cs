using System.Diagnostics.Metrics;
using Fairlead.Pipeline;

namespace Fairlead.Telemetry;

/// <summary>Measures the pace of one attempt's stream: the time from each chunk with content to the next. One reader.</summary>
internal sealed class ChunkClock(Histogram<double> pace, GatewayCall call, Attempt attempt)
{
    private long _last;
    private AttemptTags? _tags;

    /// <summary>A chunk with content has arrived.</summary>
    public void Tick()
    {
        var now = call.Time.GetTimestamp();
        if (_last != 0)
        {
            // The first chunk has arrived, so the response has stated its model.
            _tags ??= AttemptTags.Of(attempt.Deployment, GatewayTelemetry.OperationOf(call), attempt.Meter.UpstreamModel);
            pace.Record(call.Time.GetElapsedTime(_last, now).TotalSeconds, _tags.Plain);
        }
        _last = now;
    }
}
