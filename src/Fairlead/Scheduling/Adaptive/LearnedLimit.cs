namespace Fairlead.Scheduling.Adaptive;

/// <summary>
/// The concurrency that a deployment was seen to sustain. It learns in windows from latency (gradient) and from refusals (AIMD); the
/// formula and the reasons for its constants are in docs/decisions/0129-adaptive-concurrency.md. <see cref="InForce"/>,
/// <see cref="Seen"/> and <see cref="Add"/> are thread-safe and take no lock, except for attempts that were refused.
/// </summary>
internal sealed class LearnedLimit(TimeProvider time)
{
    /// <summary>Start value and maximum. A limit that is as high is not in force.</summary>
    public const int Bound = 10_000;

    /// <summary>Value of <see cref="InForce"/> for no limit.</summary>
    public const int None = int.MaxValue;

    /// <summary>Latency may be this multiple of the baseline before the limit shrinks.</summary>
    public const double Tolerance = 2;

    /// <summary>The limit shrinks at most to this part in one step by latency.</summary>
    public const double MinGradient = 0.5;

    /// <summary>A refusal leaves this part of the concurrency that it met.</summary>
    public const double Backoff = 0.8;

    /// <summary>Growth above the level of the last refusal, as part of the limit; at least 1.</summary>
    public const double CautiousGrowth = 0.02;

    /// <summary>At lower concurrency, latency says nothing about the load that this gateway causes.</summary>
    public const int MinPeak = 4;

    /// <summary>Consecutive slow windows before the limit shrinks.</summary>
    public const int SlowWindows = 2;

    /// <summary>Failed attempts of a window that count as a refusal, if they are also a quarter of all.</summary>
    public const int MinFailures = 3;

    /// <summary>An attempt without a stream counts its input and its first token as this many output tokens.</summary>
    public const double TokensOfFirst = 20;

    /// <summary>Input tokens that double the time to the first token.</summary>
    public const double InputScale = 4000;

    public static readonly TimeSpan Window = TimeSpan.FromSeconds(2);

    /// <summary>A limit of which less than half is used doubles in this time.</summary>
    public static readonly TimeSpan Doubling = TimeSpan.FromMinutes(1);

    /// <summary>The level of a refusal, and that latency was too high, are forgotten after this time.</summary>
    public static readonly TimeSpan Memory = TimeSpan.FromMinutes(5);

    private const double FailureShare = 0.25;

    // The experiment: a shrink to this part must improve latency to that part, or latency is not caused by concurrency.
    private const double TrialShrink = 0.7;
    private const double TrialImprovement = 0.9;

    private const int MinOutputOfPace = 8;

    private readonly Lock _gate = new();
    private readonly LatencySignal _first = new();
    private readonly LatencySignal _token = new();
    private readonly LatencySignal _whole = new();
    private long _windowStart = time.GetTimestamp();
    private long _decreasedAt = long.MinValue;
    private long _refusedAt = long.MinValue;
    private double _refusedLevel;
    private double _limit = Bound;
    private volatile int _inForce = None;
    private int _peak;
    private int _signalPeak;
    private int _served;
    private int _failed;
    private int _slow;
    private long _slowAt;
    private (double Level, double Ratio)? _trial;

    private LatencySignal[] Signals => field ??= [_first, _token, _whole];

    /// <summary>The limit, 1 or more; <see cref="None"/> without one.</summary>
    public int InForce => _inForce;

    /// <summary>Notes how many attempts run, after one more was started.</summary>
    public void Seen(int running)
    {
        for (var peak = Volatile.Read(ref _peak); running > peak;)
        {
            var before = Interlocked.CompareExchange(ref _peak, running, peak);
            if (before == peak) return;
            peak = before;
        }
    }

    /// <summary>Adds an ended attempt.</summary>
    /// <param name="sample">The attempt.</param>
    /// <param name="running">Attempts that run, this one included.</param>
    /// <returns>Whether the limit in force changed.</returns>
    public bool Add(in AttemptSample sample, int running)
    {
        switch (sample.Result)
        {
            case AttemptResult.Served:
                Interlocked.Increment(ref _served);
                // One that started before the last step down was as slow as the earlier limit made it.
                if (sample.StartedAt >= Volatile.Read(ref _decreasedAt)) Measure(sample);
                return false;
            case AttemptResult.Failed:
                Interlocked.Increment(ref _failed);
                return false;
            case AttemptResult.Refused:
                lock (_gate)
                {
                    // Attempts that started before the last step met the earlier limit. One that ran alone met none.
                    if (sample.StartedAt < _decreasedAt || running <= 1) return false;
                    return BackOff(running, time.GetTimestamp());
                }
            default: return false;
        }
    }

    /// <summary>Ends the window if it is over, and moves the limit.</summary>
    /// <param name="running">Attempts that run now.</param>
    /// <returns>Whether the limit in force changed.</returns>
    public bool Tick(int running)
    {
        lock (_gate)
        {
            var now = time.GetTimestamp();
            var elapsed = time.GetElapsedTime(_windowStart, now);
            if (elapsed < Window) return false;
            var start = _windowStart;
            _windowStart = now;
            var peak = Math.Max(Interlocked.Exchange(ref _peak, running), running);
            _signalPeak = Math.Max(_signalPeak, peak);
            var (served, failed) = (Interlocked.Exchange(ref _served, 0), Interlocked.Exchange(ref _failed, 0));
            if (failed >= MinFailures && failed >= FailureShare * (served + failed) && peak > 1 && _decreasedAt < start)
                return BackOff(peak, now);
            if (SlowestRatio() is { } ratio)
            {
                var level = Math.Min(_limit, _signalPeak);
                _signalPeak = peak;
                _slowAt = now;
                if (ratio <= Tolerance || level < MinPeak) (_slow, _trial) = (0, null);
                else if (++_slow >= SlowWindows) return FollowGradient(level, ratio, now);
            }
            if (_slow > 0 && time.GetElapsedTime(_slowAt, now) >= Memory) (_slow, _trial) = (0, null);
            // A window in which the limit shrank says nothing about the new limit.
            if (_decreasedAt >= start || _limit >= Bound) return false;
            if (peak < _limit / 2) return Set(_limit * Math.Pow(2, elapsed / Doubling));
            return _slow == 0 && Set(_limit + GrowthAt(now));
        }
    }

    private void Measure(in AttemptSample sample)
    {
        var first = 1 + (sample.InputTokens / InputScale);
        if (sample.FirstTokenSeconds <= 0)
        {
            _whole.Add(sample.HoldSeconds / (sample.OutputTokens + (TokensOfFirst * first)));
            return;
        }
        _first.Add(sample.FirstTokenSeconds / first);
        if (sample.OutputTokens >= MinOutputOfPace) _token.Add(sample.PaceSeconds / (sample.OutputTokens - 1));
    }

    private double? SlowestRatio()
    {
        double? slowest = null;
        foreach (var signal in Signals)
        {
            if (signal.Evaluate(_signalPeak) is { } ratio && !(ratio <= slowest)) slowest = ratio;
        }
        return slowest;
    }

    private bool FollowGradient(double level, double ratio, long now)
    {
        if (_trial is not { } trial)
        {
            _trial = (level, ratio);
        }
        else if (level <= TrialShrink * trial.Level)
        {
            if (ratio > TrialImprovement * trial.Ratio)
            {
                // Less concurrency did not help: the deployment became slower by itself.
                foreach (var signal in Signals) signal.Accept(_signalPeak);
                (_slow, _trial) = (0, null);
                return Set(Math.Max(_limit, trial.Level));
            }
            _trial = (level, ratio);
        }
        var target = (Math.Max(MinGradient, Tolerance / ratio) * level) + (Math.Sqrt(level) / 2);
        if (target >= _limit) return false;
        StepDown(now);
        return Set(target);
    }

    private bool BackOff(int running, long now)
    {
        var level = Math.Min(_limit, running);
        (_refusedLevel, _refusedAt) = (level, now);
        StepDown(now);
        return Set(level * Backoff);
    }

    private void StepDown(long now)
    {
        Volatile.Write(ref _decreasedAt, now);
        foreach (var signal in Signals) signal.Discard();
    }

    private double GrowthAt(long now)
    {
        var isNear = _refusedAt != long.MinValue && time.GetElapsedTime(_refusedAt, now) < Memory && _limit >= Backoff * _refusedLevel;
        return Math.Max(1, isNear ? CautiousGrowth * _limit : Math.Sqrt(_limit));
    }

    private bool Set(double limit)
    {
        _limit = Math.Clamp(limit, 1, Bound);
        var before = _inForce;
        _inForce = _limit >= Bound ? None : (int)_limit;
        return _inForce != before;
    }
}
