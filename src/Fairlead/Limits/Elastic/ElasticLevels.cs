using System.Collections.Concurrent;
using Fairlead.Access;

namespace Fairlead.Limits.Elastic;

/// <summary>The levels of all models of which a caller with an elastic limit made a call. Thread-safe.</summary>
internal sealed class ElasticLevels
{
    private readonly ConcurrentDictionary<string, ElasticLevel[]> _models = new(StringComparer.Ordinal);

    /// <summary>The models, each with its levels by rank of the class.</summary>
    public IEnumerable<KeyValuePair<string, ElasticLevel[]>> Models => _models;

    /// <summary>The level for calls of a model and class, created if it is new.</summary>
    public ElasticLevel Of(string model, string @class) =>
        _models.GetOrAdd(model, static _ => [new(), new(), new()])[CallClasses.RankOf(@class)];

    /// <summary>The same; null if no call needed it.</summary>
    public ElasticLevel? Find(string? model, string? @class) =>
        model is not null && _models.TryGetValue(model, out var levels) ? levels[CallClasses.RankOf(@class ?? CallClasses.Default)] : null;

    public void Remove(string model) => _models.TryRemove(model, out _);
}
