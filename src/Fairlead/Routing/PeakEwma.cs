namespace Fairlead.Routing;

/// <summary>
/// The recent latency of a deployment: a slower response counts at once, a faster one only gradually, and without traffic it fades, so that
/// a deployment that was slow is tried again. As in Finagle ("peak EWMA"). Thread-safe.
/// </summary>
internal sealed class PeakEwma(TimeProvider time)
{
    /// <summary>Time after which what was seen counts for a third.</summary>
    internal static readonly TimeSpan Decay = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private double _seconds;
    private long _at;
    private bool _hasSeen;

    /// <summary>Adds the latency of a response.</summary>
    public void Observe(TimeSpan latency)
    {
        var seconds = Math.Max(0, latency.TotalSeconds);
        lock (_gate)
        {
            var now = time.GetTimestamp();
            var weight = _hasSeen ? Math.Exp(-(time.GetElapsedTime(_at, now) / Decay)) : 0;
            _seconds = seconds > _seconds ? seconds : (_seconds * weight) + (seconds * (1 - weight));
            (_at, _hasSeen) = (now, true);
        }
    }

    /// <summary>The latency in seconds; null if nothing was seen.</summary>
    public double? Seconds
    {
        get
        {
            lock (_gate) return _hasSeen ? _seconds * Math.Exp(-(time.GetElapsedTime(_at) / Decay)) : null;
        }
    }
}
