using Fairlead.Catalogue;

namespace Fairlead.Benchmarks.Simulation;

/// <summary>
/// A deployment whose provider can run <see cref="Capacity"/> attempts at full speed. More share its speed, or are refused with 429 if it
/// <see cref="Refuses"/>.
/// </summary>
internal sealed class SimulatedProvider
{
    private const double FirstTokenSeconds = 0.4;
    private const double TokenSeconds = 0.03;

    public required Deployment Deployment { get; init; }

    public bool Refuses { get; init; }

    public int Capacity { get; set; }

    /// <summary>Attempts that run.</summary>
    public int Running { get; set; }

    /// <summary>Whether it refuses another attempt.</summary>
    public bool IsFull => Refuses && Running >= Capacity;

    /// <summary>How long an attempt takes that starts now: until its first token, and until its end.</summary>
    public (double First, double Whole) SecondsOf(double inputTokens, double outputTokens)
    {
        var slowdown = Math.Max(1, Running / (double)Capacity);
        var first = FirstTokenSeconds * (1 + (inputTokens / 4000)) * slowdown;
        return (first, first + (outputTokens * TokenSeconds * slowdown));
    }
}
