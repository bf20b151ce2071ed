using System.Collections.Concurrent;

namespace Fairlead.Generations;

/// <summary>A run of this node that the database knows, and how long its lease holds by this node's own clock. Thread-safe.</summary>
internal sealed class HeldRun(GenerationRun run, int number, bool isLeased, int suspicion, long renewedAt, TimeSpan lease)
{
    private readonly Lock _gate = new();
    private long _renewedAt = renewedAt;
    private TimeSpan _lease = lease;

    public GenerationRun Run => run;

    /// <summary>Number of the run, which every write of it names.</summary>
    public int Number => number;

    /// <summary>Taken from the queue, rather than begun with its request.</summary>
    public bool IsLeased => isLeased;

    /// <summary>How often a process died while it ran its generation.</summary>
    public int Suspicion => suspicion;

    public long BegunAt { get; } = renewedAt;

    /// <summary>The lease has run out here, and nothing more is written of the run.</summary>
    public bool IsLost { get; set; }

    /// <summary>The database was asked at <paramref name="askedAt"/>, and has extended the lease.</summary>
    public void Renewed(long askedAt, TimeSpan lease)
    {
        lock (_gate) (_renewedAt, _lease) = (askedAt, lease);
    }

    /// <summary>How much of its lease has passed since the database was last asked: from 0 to 1, and more when it is over.</summary>
    public double PassedBy(TimeProvider time)
    {
        lock (_gate) return time.GetElapsedTime(_renewedAt) / _lease;
    }
}

/// <summary>The runs of this node, by id. Thread-safe.</summary>
internal sealed class RunningGenerations
{
    private readonly ConcurrentDictionary<string, HeldRun> _runs = new(StringComparer.Ordinal);

    public int Count => _runs.Count;

    /// <summary>Those that were taken from the queue.</summary>
    public int Leased
    {
        get
        {
            var leased = 0;
            foreach (var (_, known) in _runs) leased += known.IsLeased ? 1 : 0;
            return leased;
        }
    }

    /// <summary>A run of this node has made something.</summary>
    public AsyncSignal Made { get; } = new();

    public void Add(HeldRun held)
    {
        _runs[held.Run.Id] = held;
        held.Run.Events.Notify(Made.Set);
    }

    public void Remove(GenerationRun run)
    {
        if (_runs.TryGetValue(run.Id, out var known) && ReferenceEquals(known.Run, run)) _runs.TryRemove(new(run.Id, known));
    }

    public GenerationRun? Find(string id) => _runs.TryGetValue(id, out var known) ? known.Run : null;

    public bool Has(string id, int number) => _runs.TryGetValue(id, out var known) && known.Number == number;

    public IReadOnlyList<HeldRun> All() => [.. _runs.Values];
}
