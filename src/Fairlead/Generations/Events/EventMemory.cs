using Fairlead.Memory;

namespace Fairlead.Generations.Events;

/// <summary>What the logs of kept generations hold in memory, all together. Whoever reads what they have let go reads it from the database. Thread-safe.</summary>
/// <param name="most">Above it, each log lets go of what it can.</param>
/// <param name="budget">The process's budget, in which it counts: used up, it makes the logs let go too. Null for nothing.</param>
internal sealed class EventMemory(long most = EventMemory.Most, MemoryBudget? budget = null)
{
    /// <summary>Bytes of all logs.</summary>
    public const long Most = 128 * 1024 * 1024;

    /// <summary>Bytes of one log. An answer of 10,000 tokens takes about so much.</summary>
    public const long MostOfOne = 1024 * 1024;

    private long _used;

    public long Used => Volatile.Read(ref _used);

    public bool IsOver => Used > most || budget?.IsExhausted == true;

    /// <summary>A lease on the process's budget, for what a run holds beside its log.</summary>
    public MemoryLease Lease() => new(budget);

    public void Add(long bytes)
    {
        Interlocked.Add(ref _used, bytes);
        budget?.Take(bytes);
    }
}
