namespace Fairlead.Providers.Simulated;

/// <summary>
/// When each token of a response is due, counted from the start of the attempt. Drawn from the response's seed; not thread-safe.
/// </summary>
internal sealed class Pace
{
    // As measured services vary: the first token more than the later ones.
    private const double FirstTokenSigma = 0.3;
    private const double TokenSigma = 0.25;

    private readonly SimulatedRandom _random;
    private readonly double _millisecondsPerToken;
    private readonly double _sigma;

    public Pace(SimulatedModel model, SimulationConfig config, SimulationDirectives directives, SimulatedRandom random)
    {
        _random = random;
        var median = config.FirstToken ?? model.FirstToken;
        // A value in the request is exact; a model's own value is the median of a distribution.
        Next = directives.FirstToken ?? (median > TimeSpan.Zero
            ? TimeSpan.FromMilliseconds(_random.LogNormal(median.TotalMilliseconds, FirstTokenSigma)) : TimeSpan.Zero);
        _millisecondsPerToken = 1000 / (directives.TokensPerSecond ?? config.TokensPerSecond ?? model.TokensPerSecond);
        _sigma = directives.TokensPerSecond is null ? TokenSigma : 0;
    }

    /// <summary>When the next token is due.</summary>
    public TimeSpan Next { get; private set; }

    public void Advance()
    {
        if (_millisecondsPerToken > 0)
        {
            Next += TimeSpan.FromMilliseconds(_sigma > 0 ? _random.LogNormal(_millisecondsPerToken, _sigma) : _millisecondsPerToken);
        }
    }
}
