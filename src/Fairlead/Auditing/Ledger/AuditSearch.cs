using System.Data.Common;
using System.Text;
using Fairlead.Storage;

namespace Fairlead.Auditing.Ledger;

/// <summary>One question for audit records, in the words of one database. <c>at</c> and <c>number</c> together order the records.</summary>
internal abstract class AuditSearch
{
    private readonly List<(string Name, object Value)> _parameters = [];

    protected AuditSearch(AuditQuery query)
    {
        Query = query;
        if (query.From is { } from) Where("a.at >= @from", "@from", CeilingMilliseconds(from));
        if (query.To is { } to) Where("a.at < @to", "@to", CeilingMilliseconds(to));
        if (query.After is not { } after) return;
        Where("(a.at, a.number) < (@after_at, @after_number)", "@after_at", after.At);
        Add("@after_number", after.Number);
    }

    /// <summary>Whether a page may end before all was looked at; then <see cref="Bound"/> tells where to go on.</summary>
    public abstract bool IsBounded { get; }

    protected AuditQuery Query { get; }

    /// <summary>Conditions that the index decides, each with <c>AND</c> before it; the table goes by the name <c>a</c>.</summary>
    protected StringBuilder Narrow { get; } = new();

    /// <summary>Records: <c>at, number, node, sequence, record</c> (bytes), one more than asked for.</summary>
    public abstract DbCommand Page(DbConnection connection);

    /// <summary>The last row that the page looked at, <c>at, number</c>, if there are as many.</summary>
    public abstract DbCommand Bound(DbConnection connection);

    protected void Where(string condition, string name, object value)
    {
        Narrow.Append(" AND ").Append(condition);
        Add(name, value);
    }

    protected void Add(string name, object value) => _parameters.Add((name, value));

    /// <summary>Names of all records of a generation: its id's, and those of further runs, which have their number behind it.</summary>
    protected void AddRunsOf(string generationId)
    {
        var id = AuditRecordWriter.RecordIdOf(generationId);
        Add("@id", id);
        Add("@id_runs", id + "_");
        Add("@id_end", id + "`");
    }

    protected DbCommand Command(DbConnection connection, string sql)
    {
        var command = connection.CreateCommand();
#pragma warning disable CA2100 // Made of constants; every value is a parameter.
        command.CommandText = sql;
#pragma warning restore CA2100
        foreach (var (name, value) in _parameters)
        {
            if (sql.Contains(name, StringComparison.Ordinal)) command.AddParameter(name, value);
        }
        return command;
    }

    private static long CeilingMilliseconds(DateTimeOffset time) => time.ToUnixTimeMilliseconds() + (time.Ticks % TimeSpan.TicksPerMillisecond == 0 ? 0 : 1);
}
