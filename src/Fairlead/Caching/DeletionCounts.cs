using System.Collections.Frozen;

namespace Fairlead.Caching;

/// <summary>How often parts of the cache were deleted. Immutable.</summary>
internal sealed class DeletionCounts(IEnumerable<(string ProjectId, string Model, long Count)> rows)
{
    private readonly FrozenDictionary<(string, string), long> _counts =
        rows.ToFrozenDictionary(static row => (row.ProjectId, row.Model), static row => row.Count);

    /// <summary>All deletions, to see whether there was another one.</summary>
    public long Total { get; } = rows.Sum(static row => row.Count);

    /// <summary>The deletions that concern a model in a project. Each one makes the number larger.</summary>
    public long CountOf(string projectId, string model) => _counts.Count == 0
        ? 0
        : Of(projectId, model) + Of(projectId, "") + Of("", model) + Of("", "");

    private long Of(string projectId, string model) => _counts.GetValueOrDefault((projectId, model));
}
