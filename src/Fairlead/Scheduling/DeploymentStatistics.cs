using Fairlead.Scheduling.Adaptive;

namespace Fairlead.Scheduling;

/// <summary>
/// How the attempts at one deployment went: means that are weighted to the recent ones, and counts since the start of the process.
/// Thread-safe without a lock: two attempts that end at the same moment may leave only one of them in a mean.
/// </summary>
internal sealed class DeploymentStatistics
{
    private const double Weight = 0.1;

    private double _hold;
    private double _firstToken;
    private double _tokenPace;
    private long _rateLimited;
    private long _serverErrors;

    /// <summary>Mean time that an attempt holds its slot, in seconds; 0 while unknown.</summary>
    public double HoldSeconds => Volatile.Read(ref _hold);

    /// <summary>Mean time to the first token of a stream, in seconds; 0 while unknown.</summary>
    public double FirstTokenSeconds => Volatile.Read(ref _firstToken);

    /// <summary>Mean time for each output token of a stream after the first, in seconds; 0 while unknown.</summary>
    public double SecondsPerToken => Volatile.Read(ref _tokenPace);

    /// <summary>Responses with status 429.</summary>
    public long RateLimited => Interlocked.Read(ref _rateLimited);

    /// <summary>Responses with a status of 500 or above.</summary>
    public long ServerErrors => Interlocked.Read(ref _serverErrors);

    public void Add(in AttemptSample sample)
    {
        if (sample.HoldSeconds > 0) Mix(ref _hold, Math.Max(sample.HoldSeconds, 1e-6));
        if (sample.IsRateLimited) Interlocked.Increment(ref _rateLimited);
        if (sample.IsServerError) Interlocked.Increment(ref _serverErrors);
        if (sample.Result != AttemptResult.Served || sample.FirstTokenSeconds <= 0) return;
        Mix(ref _firstToken, sample.FirstTokenSeconds);
        if (sample.OutputTokens > 1 && sample.PaceSeconds > 0) Mix(ref _tokenPace, sample.PaceSeconds / (sample.OutputTokens - 1));
    }

    private static void Mix(ref double mean, double value)
    {
        var before = Volatile.Read(ref mean);
        Volatile.Write(ref mean, before <= 0 ? value : (before * (1 - Weight)) + (value * Weight));
    }
}
