using System.Collections.Concurrent;

namespace Fairlead.Jobs;

/// <summary>The runs of this node, by id. Thread-safe.</summary>
internal sealed class RunningGenerations
{
    private readonly ConcurrentDictionary<string, (GenerationRun Run, int Number)> _runs = new(StringComparer.Ordinal);

    public int Count => _runs.Count;

    /// <summary>A run of this node has made something.</summary>
    public AsyncSignal Made { get; } = new();

    public void Add(GenerationRun run, int number)
    {
        _runs[run.Id] = (run, number);
        run.Events.Notify(Made.Set);
    }

    public void Remove(GenerationRun run)
    {
        if (_runs.TryGetValue(run.Id, out var known) && ReferenceEquals(known.Run, run)) _runs.TryRemove(new(run.Id, known));
    }

    public GenerationRun? Find(string id) => _runs.TryGetValue(id, out var known) ? known.Run : null;

    public IReadOnlyList<(GenerationRun Run, int Number)> All() => [.. _runs.Values];
}
