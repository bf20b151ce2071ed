using System.Data.Common;
using System.Text;
using Fairlead.Auditing;
using Fairlead.Storage;

namespace Fairlead.Ledger;

/// <summary>One record as stored, with what only the spool knew.</summary>
internal sealed record StoredRecord(string Node, long Sequence, byte[] Json);

/// <param name="Records">At most as many as asked for; fewer when the search stopped at its bound.</param>
/// <param name="Next">Where to go on, or null at the end.</param>
internal sealed record AuditPage(IReadOnlyList<StoredRecord> Records, AuditCursor? Next);

/// <summary>
/// Finds audit records along one index, chosen by the narrowest filter. Other filters are checked on what that index gives, on at most
/// <see cref="MostScanned"/> rows a page; then the page ends early with a cursor. So a read costs the same however many rows there are.
/// </summary>
internal sealed class AuditReader(IStorage storage)
{
    internal const int MostScanned = 20_000;

    public async Task<AuditPage> ReadAsync(AuditQuery query, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var search = new Search(query, storage.Sql);
        var records = new List<StoredRecord>();
        AuditCursor? last = null;
        var more = false;
        await using (var command = search.Page(connection))
        {
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken))
            {
                if (records.Count == query.Limit)
                {
                    more = true;
                    break;
                }
                last = new AuditCursor(reader.GetInt64(0), reader.GetInt64(1));
                records.Add(new StoredRecord(reader.GetString(2), reader.GetInt64(3), reader.GetFieldValue<byte[]>(4)));
            }
        }
        if (more) return new AuditPage(records, last);
        if (!search.IsBounded) return new AuditPage(records, null);

        await using var bound = search.Bound(connection);
        await using var end = await bound.ExecuteReaderAsync(cancellationToken);
        return new AuditPage(records, await end.ReadAsync(cancellationToken) ? new AuditCursor(end.GetInt64(0), end.GetInt64(1)) : null);
    }

    private sealed class Search
    {
        private readonly AuditQuery _query;
        private readonly List<(string Name, object Value)> _parameters = [];
        private readonly StringBuilder _narrow = new();
        private readonly StringBuilder _rest = new();
        private readonly string _index;
        private readonly string _record;

        public Search(AuditQuery query, SqlFlavour sql)
        {
            _query = query;
            (var index, var driver) = Choose(query);
            // SQLite's planner is told; PostgreSQL's has statistics, and no such words.
            _index = sql.Provider == StorageProvider.Sqlite && index.Length > 0 ? "INDEXED BY " + index : "";
            _record = sql.Provider == StorageProvider.Sqlite ? "CAST(record AS BLOB)" : "convert_to(record, 'UTF8')";
            if (query.From is { } from) Where("at >= @from", "@from", from.ToUnixTimeMilliseconds() + (from.Ticks % TimeSpan.TicksPerMillisecond == 0 ? 0 : 1));
            if (query.To is { } to) Where("at < @to", "@to", to.ToUnixTimeMilliseconds() + (to.Ticks % TimeSpan.TicksPerMillisecond == 0 ? 0 : 1));
            if (query.After is { } after)
            {
                Where("(at, number) < (@after_at, @after_number)", "@after_at", after.At);
                _parameters.Add(("@after_number", after.Number));
            }
            if (query.GenerationId is { } generation)
            {
                // Every run of a generation has a record of its own: the id, then the number of the run.
                var id = AuditRecordWriter.RecordIdOf(generation);
                Where("(id = @id OR (id > @id_runs AND id < @id_end))", "@id", id);
                _parameters.Add(("@id_runs", id + "_"));
                _parameters.Add(("@id_end", id + "`"));
            }
            Filter("request_id", query.RequestId, driver);
            Filter("key_id", query.KeyId, driver);
            Filter("project_id", query.ProjectId, driver);
            Filter("organization_id", query.OrganizationId, driver);
            Filter("model", query.Model, driver);
            Filter("outcome", query.Outcome, driver);
            // Words of the partial index, which the planner must see to use it.
            if (driver == "outcome") _narrow.Append(" AND outcome NOT IN ('complete', 'tool_calls')");
        }

        public bool IsBounded => _rest.Length > 0;

        public DbCommand Page(DbConnection connection)
        {
            var columns = $"at, number, node, sequence, {_record} AS record";
            return Command(connection, IsBounded
                ? $"SELECT {columns} FROM (SELECT * FROM audit_records {_index} WHERE 1 = 1{_narrow} ORDER BY at DESC, number DESC LIMIT {MostScanned}) AS looked_at WHERE 1 = 1{_rest} ORDER BY at DESC, number DESC LIMIT {_query.Limit + 1}"
                : $"SELECT {columns} FROM audit_records {_index} WHERE 1 = 1{_narrow} ORDER BY at DESC, number DESC LIMIT {_query.Limit + 1}");
        }

        /// <summary>The last row that the page looked at, if there are more behind it.</summary>
        public DbCommand Bound(DbConnection connection) =>
            Command(connection, $"SELECT at, number FROM audit_records {_index} WHERE 1 = 1{_narrow} ORDER BY at DESC, number DESC LIMIT 1 OFFSET {MostScanned - 1}");

        private DbCommand Command(DbConnection connection, string sql)
        {
            var command = connection.CreateCommand();
#pragma warning disable CA2100 // Made of the constants above; every value is a parameter.
            command.CommandText = sql;
#pragma warning restore CA2100
            foreach (var (name, value) in _parameters)
            {
                if (sql.Contains(name, StringComparison.Ordinal)) command.AddParameter(name, value);
            }
            return command;
        }

        private static (string Index, string? Driver) Choose(AuditQuery query) => query switch
        {
            { GenerationId: not null } => ("", "id"),
            { RequestId: not null } => ("audit_records_by_request", "request_id"),
            { KeyId: not null } => ("audit_records_by_key", "key_id"),
            { Outcome: not null and not "complete" and not "tool_calls", ProjectId: null } => ("audit_records_by_outcome", "outcome"),
            { ProjectId: not null } => ("audit_records_by_project", "project_id"),
            { Model: not null } => ("audit_records_by_model", "model"),
            { OrganizationId: not null } => ("audit_records_by_organization", "organization_id"),
            _ => ("audit_records_by_at", null),
        };

        private void Where(string condition, string name, object value)
        {
            _narrow.Append(" AND ").Append(condition);
            _parameters.Add((name, value));
        }

        private void Filter(string column, string? value, string? driver)
        {
            if (value is null) return;
            (column == driver ? _narrow : _rest).Append(" AND ").Append(column).Append(" = @").Append(column);
            _parameters.Add(("@" + column, value));
        }
    }
}
