using System.Collections.Concurrent;

namespace Fairlead.Jobs;

/// <summary>The runs of this node, by id. Thread-safe.</summary>
internal sealed class RunningGenerations
{
    private readonly ConcurrentDictionary<string, (GenerationRun Run, int Number, bool Leased)> _runs = new(StringComparer.Ordinal);

    public int Count => _runs.Count;

    /// <summary>Those that were taken from the queue.</summary>
    public int Leased
    {
        get
        {
            var leased = 0;
            foreach (var (_, known) in _runs) leased += known.Leased ? 1 : 0;
            return leased;
        }
    }

    /// <summary>A run of this node has made something.</summary>
    public AsyncSignal Made { get; } = new();

    /// <summary>One that began with its request: a stream that is kept, or a hybrid that took too long.</summary>
    public void Add(GenerationRun run, int number) => Add(run, number, leased: false);

    /// <summary>One that was taken from the queue.</summary>
    public void AddLeased(GenerationRun run, int number) => Add(run, number, leased: true);

    private void Add(GenerationRun run, int number, bool leased)
    {
        _runs[run.Id] = (run, number, leased);
        run.Events.Notify(Made.Set);
    }

    public void Remove(GenerationRun run)
    {
        if (_runs.TryGetValue(run.Id, out var known) && ReferenceEquals(known.Run, run)) _runs.TryRemove(new(run.Id, known));
    }

    public GenerationRun? Find(string id) => _runs.TryGetValue(id, out var known) ? known.Run : null;

    public IReadOnlyList<(GenerationRun Run, int Number)> All() => [.. _runs.Values.Select(known => (known.Run, known.Number))];
}
