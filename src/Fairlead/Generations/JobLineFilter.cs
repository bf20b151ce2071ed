using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>Which lines of jobs are taken from the queue, as a condition of a statement. Immutable.</summary>
internal sealed class JobLineFilter
{
    /// <summary>All of them.</summary>
    public static readonly JobLineFilter All = new([], "NOT");

    private readonly IReadOnlyList<JobLine> _lines;

    private JobLineFilter(IReadOnlyList<JobLine> lines, string prefix)
    {
        _lines = lines;
        Condition = string.Concat(
            lines.Select((_, i) => $" AND {prefix} (key_id = @key{i} AND model = @model{i} AND class_rank = @class{i})"));
    }

    /// <summary>Only one line.</summary>
    public static JobLineFilter Only(JobLine line) => new([line], "");

    /// <summary>All lines without these.</summary>
    public static JobLineFilter Except(IReadOnlyList<JobLine> lines) => lines.Count == 0 ? All : new JobLineFilter(lines, "NOT");

    /// <summary>Conditions that follow another one; empty for <see cref="All"/>.</summary>
    public string Condition { get; }

    /// <summary>The values of <see cref="Condition"/>.</summary>
    public IEnumerable<(string Name, SqlValue Value)> Values(SqlFlavour sql)
    {
        for (var i = 0; i < _lines.Count; i++)
        {
            yield return ($"@key{i}", _lines[i].KeyId);
            yield return ($"@model{i}", sql.Storable(_lines[i].Model));
            yield return ($"@class{i}", GenerationSql.RankOf(_lines[i].Class));
        }
    }
}
