using Fairlead.Memory;

namespace Fairlead.Generations.Events;

/// <summary>
/// The memory of all event logs together. Events that have left a log are read from the database. Thread-safe.
/// </summary>
/// <param name="maxBytes">If the logs are larger, each of them is reduced.</param>
/// <param name="budget">
/// The memory budget of the process, where the logs count. If it is used up, the logs are reduced too. Null for none.
/// </param>
internal sealed class EventMemory(long maxBytes = EventMemory.MaxBytes, MemoryBudget? budget = null)
{
    /// <summary>Maximum size of all logs.</summary>
    public const long MaxBytes = 128 * 1024 * 1024;

    /// <summary>Maximum size of one log. A response of 10,000 tokens takes about so much.</summary>
    public const long MaxBytesOfLog = 1024 * 1024;

    private long _used;

    public long Used => Volatile.Read(ref _used);

    public bool IsOver => Used > maxBytes || budget?.IsExhausted == true;

    /// <summary>A lease on the budget, for the memory that a run needs beside its log.</summary>
    public MemoryLease Lease() => new(budget);

    public void Add(long bytes)
    {
        Interlocked.Add(ref _used, bytes);
        budget?.Take(bytes);
    }
}
