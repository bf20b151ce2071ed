using System.Data.Common;
using System.Text;
using Fairlead.Storage;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// In SQLite's compact tables: a generation and a request by their indexes, all other searches along the index in the order of time, which
/// contains the number of every name that can be searched for.
/// </summary>
internal sealed class CompactAuditSearch : AuditSearch
{
    /// <summary>Entries of the index that one page scans: about thirty bytes each, nine milliseconds together.</summary>
    internal const int MaxScanned = 100_000;

    private readonly StringBuilder _rest = new();
    private readonly string? _found;

    private CompactAuditSearch(AuditQuery query, Dictionary<string, long> numbers)
        : base(query)
    {
        if (query.GenerationId is { } generation)
        {
            AddRunsOf(generation);
            _found = "SELECT number FROM audit_calls WHERE id = @id "
                + "UNION ALL SELECT number FROM audit_calls WHERE id > @id_runs AND id < @id_end";
        }
        if (query.RequestId is { } request)
        {
            if (_found is null)
            {
                AddRunsOf(request.StartsWith("req_", StringComparison.Ordinal) ? "gen_" + request[4..] : request);
                _found = """
                    SELECT number FROM audit_calls WHERE request_id = @request
                    UNION ALL SELECT number FROM audit_calls WHERE id = @id AND request_id IS NULL
                    UNION ALL SELECT number FROM audit_calls WHERE id > @id_runs AND id < @id_end AND request_id IS NULL
                    """;
            }
            else
            {
                _rest.Append(" AND coalesce(a.request_id, 'req_' || substr(a.id, 5, 26)) = @request");
            }
            Add("@request", request);
        }
        foreach (var (column, name) in Filters(query))
        {
            if (name is null) continue;
            _rest.Append(_found is null ? " AND s." : " AND a.").Append(column).Append(" = @").Append(column);
            Add("@" + column, numbers[name]);
        }
    }

    public override bool IsBounded => _found is null && _rest.Length > 0;

    /// <summary>Null when the query has a name that no record has.</summary>
    public static async Task<CompactAuditSearch?> OfAsync(AuditQuery query, DbConnection connection, CancellationToken cancellationToken)
    {
        var numbers = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var (_, name) in Filters(query))
        {
            if (name is null || numbers.ContainsKey(name)) continue;
            if (await connection.Int64Async("SELECT number FROM audit_names WHERE name = @name", [("@name", name)], cancellationToken)
                is not { } number)
                return null;
            numbers[name] = number;
        }
        return new CompactAuditSearch(query, numbers);
    }

    public override SqlStatement Page()
    {
        const string Columns = "a.at AS at, a.number AS number, n.name AS node, a.sequence AS sequence, CAST(a.record AS BLOB) AS record";
        return Statement(_found is not null
            ? $"""
                SELECT {Columns} FROM audit_calls a LEFT JOIN audit_names n ON n.number = a.node
                WHERE a.number IN ({_found}){Narrow}{_rest} ORDER BY a.at DESC, a.number DESC LIMIT {Query.Limit + 1}
                """
            // The index is scanned in its order until there are enough matches; only the records of the matches are read.
            : $"""
                SELECT {Columns} FROM (
                    SELECT s.at, s.number FROM ({Look(IsBounded ? MaxScanned : Query.Limit + 1)}) AS s WHERE true{_rest} LIMIT {Query.Limit + 1}) AS f
                    CROSS JOIN audit_calls a ON a.number = f.number LEFT JOIN audit_names n ON n.number = a.node
                ORDER BY f.at DESC, f.number DESC
                """);
    }

    public override SqlStatement Bound() => Statement($"{Look(1)} OFFSET {MaxScanned - 1}");

    private string Look(int rows) =>
        $"""
        SELECT a.at AS at, a.number AS number, a.organization, a.project, a.key, a.model, a.outcome
        FROM audit_calls a INDEXED BY audit_calls_by_at WHERE true{Narrow} ORDER BY a.at DESC, a.number DESC LIMIT {rows}
        """;

    private static IEnumerable<(string Column, string? Name)> Filters(AuditQuery query) =>
    [
        ("organization", query.OrganizationId),
        ("project", query.ProjectId),
        ("key", query.KeyId),
        ("model", query.Model),
        ("outcome", query.Outcome),
    ];
}
