using System.Text;
using Fairlead.Auditing.Records;
using Fairlead.Storage;

namespace Fairlead.Auditing.Ledger;

/// <summary>A search for audit records in the SQL of one database. <c>at</c> and <c>number</c> together order the records.</summary>
internal abstract class AuditSearch
{
    private readonly List<(string Name, SqlValue Value)> _values = [];

    protected AuditSearch(AuditQuery query)
    {
        Query = query;
        if (query.From is { } from) Where("a.at >= @from", "@from", CeilingMilliseconds(from));
        if (query.To is { } to) Where("a.at < @to", "@to", CeilingMilliseconds(to));
        if (query.After is not { } after) return;
        Where("(a.at, a.number) < (@after_at, @after_number)", "@after_at", after.At);
        Add("@after_number", after.Number);
    }

    /// <summary>Whether a page may end before all rows were scanned; then <see cref="Bound"/> returns where to continue.</summary>
    public abstract bool IsBounded { get; }

    protected AuditQuery Query { get; }

    /// <summary>Conditions that the index decides, each with <c>AND</c> before it; the alias of the table is <c>a</c>.</summary>
    protected StringBuilder Narrow { get; } = new();

    /// <summary>Records: <c>at, number, node, sequence, record</c> (bytes), one more than the limit.</summary>
    public abstract SqlStatement Page();

    /// <summary>The last row that the page scanned, <c>at, number</c>; no row when the page scanned all rows.</summary>
    public abstract SqlStatement Bound();

    protected void Where(string condition, string name, SqlValue value)
    {
        Narrow.Append(" AND ").Append(condition);
        Add(name, value);
    }

    protected void Add(string name, SqlValue value) => _values.Add((name, value));

    /// <summary>Ids of all records of a generation: that of its first run, and those of further runs, which append their number.</summary>
    protected void AddRunsOf(string generationId)
    {
        var id = AuditRecordWriter.RecordIdOf(generationId);
        Add("@id", id);
        Add("@id_runs", id + "_");
        Add("@id_end", id + "`");
    }

    /// <summary>The statement with those of the values that it uses.</summary>
    protected SqlStatement Statement(string sql) =>
        new(sql, [.. _values.Where(value => sql.Contains(value.Name, StringComparison.Ordinal))]);

    private static long CeilingMilliseconds(DateTimeOffset time) =>
        time.ToUnixTimeMilliseconds() + (time.Ticks % TimeSpan.TicksPerMillisecond == 0 ? 0 : 1);
}

/// <summary>A statement and its values.</summary>
internal readonly record struct SqlStatement(string Sql, (string Name, SqlValue Value)[] Values);
