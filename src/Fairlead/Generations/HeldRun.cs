namespace Fairlead.Generations;

/// <summary>A run of this node that is in the database, and its lease by this node's own clock. Thread-safe.</summary>
/// <param name="run">The run.</param>
/// <param name="number">Its number.</param>
/// <param name="isLeased">Whether it was taken from the queue.</param>
/// <param name="suspicion">How often a process died during a run of its generation.</param>
/// <param name="renewedAt">Timestamp from before its lease was requested.</param>
/// <param name="lease">Length of its lease.</param>
internal sealed class HeldRun(GenerationRun run, int number, bool isLeased, int suspicion, long renewedAt, TimeSpan lease)
{
    /// <summary>
    /// How long a suspect has its node to itself in its first run alone. By then it has done most of what could kill the process, and other
    /// jobs run beside it. If the process dies nevertheless, the suspect has the node to itself until the end of its next run.
    /// </summary>
    private static readonly TimeSpan AloneFor = TimeSpan.FromSeconds(30);

    private readonly Lock _gate = new();
    private readonly long _startedAt = renewedAt;
    private long _renewedAt = renewedAt;
    private TimeSpan _lease = lease;

    public GenerationRun Run => run;

    /// <summary>Number of the run. Every write of the run names it.</summary>
    public int Number => number;

    /// <summary>Whether it was taken from the queue, and did not start with its request.</summary>
    public bool IsLeased => isLeased;

    /// <summary>The lease has ended, and nothing more is written of the run.</summary>
    public bool IsLost { get; set; }

    /// <summary>Whether no other job may start on this node for now.</summary>
    public bool NeedsNodeAlone(TimeProvider time) =>
        isLeased && suspicion > 0 && (suspicion > 1 || time.GetElapsedTime(_startedAt) < AloneFor);

    /// <summary>The database has extended the lease, which was requested at <paramref name="askedAt"/>.</summary>
    public void Renewed(long askedAt, TimeSpan lease)
    {
        lock (_gate) (_renewedAt, _lease) = (askedAt, lease);
    }

    /// <summary>The part of the lease that has passed since it was requested: from 0 to 1, and more after its end.</summary>
    public double PassedBy(TimeProvider time)
    {
        lock (_gate) return time.GetElapsedTime(_renewedAt) / _lease;
    }
}
