using Fairlead.Scheduling;

namespace Fairlead.Benchmarks.Simulation;

/// <summary>One call of a simulation.</summary>
internal sealed class SimulatedCall(Action<SimulatedCall> ended) : QueuedCall
{
    public required int Model { get; init; }

    public required double Output { get; init; }

    /// <summary>Time of its arrival since the start of the simulation.</summary>
    public TimeSpan ArrivedAt { get; init; }

    public override void Ended() => ended(this);
}
