using System.Collections.Concurrent;

namespace Fairlead.Generations;

/// <summary>The runs of this node, by the id of their generation. Thread-safe.</summary>
internal sealed class RunningGenerations
{
    private readonly ConcurrentDictionary<string, HeldRun> _runs = new(StringComparer.Ordinal);

    public int Count => _runs.Count;

    /// <summary>Number of runs that were taken from the queue.</summary>
    public int Leased
    {
        get
        {
            var leased = 0;
            foreach (var (_, held) in _runs) leased += held.IsLeased ? 1 : 0;
            return leased;
        }
    }

    /// <summary>Set when a run of this node has produced an event.</summary>
    public AsyncSignal Made { get; } = new();

    public void Add(HeldRun held)
    {
        _runs[held.Run.Id] = held;
        held.Run.Events.Notify(Made.Set);
    }

    public void Remove(GenerationRun run)
    {
        if (_runs.TryGetValue(run.Id, out var held) && ReferenceEquals(held.Run, run)) _runs.TryRemove(new(run.Id, held));
    }

    public GenerationRun? Find(string id) => _runs.TryGetValue(id, out var held) ? held.Run : null;

    public bool Has(string id, int number) => _runs.TryGetValue(id, out var held) && held.Number == number;

    public IReadOnlyList<HeldRun> All() => [.. _runs.Values];
}
