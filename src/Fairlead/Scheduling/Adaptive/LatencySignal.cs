namespace Fairlead.Scheduling.Adaptive;

/// <summary>
/// One measure of latency: its mean in the current window beside its baseline, the latency without strain. The mean is geometric, because
/// latencies spread by factors and not by differences, and a single slow response must not move it. <see cref="Add"/> is thread-safe and
/// takes no lock; everything else is for one thread at a time.
/// </summary>
internal sealed class LatencySignal
{
    /// <summary>Samples of a window that has a mean. A window with fewer continues.</summary>
    public const int MinSamples = 10;

    /// <summary>A lower mean moves the baseline by this part of the difference.</summary>
    public const double BaselineFall = 0.5;

    /// <summary>A higher mean at no higher concurrency moves the baseline by this part: the deployment itself became slower.</summary>
    public const double BaselineRise = 0.1;

    // Number of samples and sum of logarithms in one word, so that both are read at once: 24 bits and 40 bits.
    private const int CountShift = 40;
    private const double LogScale = 65_536;
    private const double LogOffset = 16;

    private long _window;
    private int _peakOfBaseline;

    /// <summary>Latency without strain, in the unit of the samples; 0 while unknown.</summary>
    public double Baseline { get; private set; }

    /// <summary>Mean of the last complete window; 0 while unknown.</summary>
    public double Current { get; private set; }

    public void Add(double seconds)
    {
        if (!(seconds > 0)) return;
        var log = Math.Clamp(Math.Log(seconds), 1 - LogOffset, LogOffset - 1);
        Interlocked.Add(ref _window, (1L << CountShift) + (long)((log + LogOffset) * LogScale));
    }

    /// <summary>Ends the window if it has enough samples, and updates the baseline. Returns mean / baseline, else null.</summary>
    /// <param name="peak">Highest concurrency of the window.</param>
    public double? Evaluate(int peak)
    {
        if (Volatile.Read(ref _window) >> CountShift < MinSamples) return null;
        var window = Interlocked.Exchange(ref _window, 0);
        var count = window >> CountShift;
        var sum = window & ((1L << CountShift) - 1);
        Current = Math.Exp((sum / LogScale / count) - LogOffset);
        if (Baseline == 0) Accept(peak);
        else if (Current < Baseline) (Baseline, _peakOfBaseline) = (Baseline + (BaselineFall * (Current - Baseline)), peak);
        else if (peak <= _peakOfBaseline) Baseline += BaselineRise * (Current - Baseline);
        return Current / Baseline;
    }

    /// <summary>Forgets the samples of the current window.</summary>
    public void Discard() => Interlocked.Exchange(ref _window, 0);

    /// <summary>Takes the present latency as the one without strain.</summary>
    public void Accept(int peak)
    {
        if (Current > 0) (Baseline, _peakOfBaseline) = (Current, peak);
    }
}
