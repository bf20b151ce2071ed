using System.Text;

namespace Fairlead.Auditing.Ledger;

/// <summary>In PostgreSQL: along the index of the narrowest filter; the other filters are checked on the rows of that index.</summary>
internal sealed class PostgresAuditSearch : AuditSearch
{
    internal const int MaxScanned = 20_000;

    private const string Columns = "at, number, node, sequence, convert_to(record, 'UTF8') AS record";

    private readonly StringBuilder _rest = new();

    public PostgresAuditSearch(AuditQuery query)
        : base(query)
    {
        var driver = DriverOf(query);
        if (query.GenerationId is { } generation)
        {
            Narrow.Append(" AND (id = @id OR (id > @id_runs AND id < @id_end))");
            AddRunsOf(generation);
        }
        Filter("request_id", query.RequestId, driver);
        Filter("key_id", query.KeyId, driver);
        Filter("project_id", query.ProjectId, driver);
        Filter("organization_id", query.OrganizationId, driver);
        Filter("model", query.Model, driver);
        Filter("outcome", query.Outcome, driver);
        // The condition of the partial index: the planner uses the index only when the statement has it.
        if (driver == "outcome") Narrow.Append(" AND outcome NOT IN ('complete', 'tool_calls')");
    }

    public override bool IsBounded => _rest.Length > 0;

    public override SqlStatement Page() => Statement(IsBounded
        ? $"""
            SELECT {Columns} FROM (SELECT * FROM audit_records a WHERE true{Narrow} ORDER BY at DESC, number DESC LIMIT {MaxScanned}) AS looked_at
            WHERE true{_rest} ORDER BY at DESC, number DESC LIMIT {Query.Limit + 1}
            """
        : $"SELECT {Columns} FROM audit_records a WHERE true{Narrow} ORDER BY at DESC, number DESC LIMIT {Query.Limit + 1}");

    public override SqlStatement Bound() =>
        Statement($"SELECT at, number FROM audit_records a WHERE true{Narrow} "
            + $"ORDER BY at DESC, number DESC LIMIT 1 OFFSET {MaxScanned - 1}");

    private static string? DriverOf(AuditQuery query) => query switch
    {
        { GenerationId: not null } => "id",
        { RequestId: not null } => "request_id",
        { KeyId: not null } => "key_id",
        { Outcome: not null and not "complete" and not "tool_calls", ProjectId: null } => "outcome",
        { ProjectId: not null } => "project_id",
        { Model: not null } => "model",
        { OrganizationId: not null } => "organization_id",
        _ => null,
    };

    private void Filter(string column, string? value, string? driver)
    {
        if (value is null) return;
        (column == driver ? Narrow : _rest).Append(" AND ").Append(column).Append(" = @").Append(column);
        Add("@" + column, value);
    }
}
