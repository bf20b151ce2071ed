using Fairlead.Conversation;
using Fairlead.Generations.Events;
using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>
/// One attempt of a shared generation, made as a call of its own. Callers leave while it runs, and after it has ended, so what it used is
/// asked here only. Thread-safe.
/// </summary>
internal sealed class FlightRun(GatewayCall call, Attempt attempt, AttemptCharge charge)
{
    private readonly Lock _gate = new();
    private Usage? _final;

    /// <summary>The copy of the request. Its body is gone when the run has ended.</summary>
    public GatewayCall Call { get; } = call;

    public Attempt Attempt { get; } = attempt;

    /// <summary>What the provider reported, or an estimate of what was generated so far.</summary>
    public Usage Usage
    {
        get
        {
            lock (_gate) return _final ?? Count();
        }
    }

    /// <summary>Meters an event.</summary>
    public void Observe(GenerationEvent made)
    {
        lock (_gate) Attempt.Meter.Observe(made);
    }

    /// <summary>Nothing more is generated. Calling it again changes nothing.</summary>
    public void Settle()
    {
        lock (_gate) _final ??= Count();
    }

    /// <summary>Settles it and returns the memory of the request.</summary>
    public void Close()
    {
        lock (_gate)
        {
            try
            {
                _final ??= Count();
            }
            finally
            {
                Call.Body.Dispose();
            }
        }
    }

    private Usage Count()
    {
        charge.Fix(Call, Attempt);
        return Attempt.Usage;
    }
}
