using Fairlead.Storage;

namespace Fairlead.Ledger;

/// <summary>
/// Audit records, ledger entries, their hourly sums and how far each node's spool has been read. Times are milliseconds since 1970 in
/// UTC, money is picodollars (<see cref="Money"/>). Rows come in the order of time, so that nearly every index grows at its end.
/// </summary>
internal sealed class LedgerSchema : ISchemaStep
{
    public int Version => 100;

    public string Name => "audit records and ledger";

    public string Sql(StorageProvider provider) => provider switch
    {
        StorageProvider.Sqlite => Tables,
        _ => throw new ArgumentOutOfRangeException(nameof(provider), provider, "This step is not written for the provider."),
    };

    // audit_records.id follows from generation_id, so the unique index on it finds generations too. Of the outcomes only the rare
    // ones are indexed: for the common ones the index would be as long as the table and of no help.
    private const string Tables = """
        CREATE TABLE audit_records (
            number INTEGER NOT NULL PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            node TEXT NOT NULL,
            sequence INTEGER NOT NULL,
            at INTEGER NOT NULL,
            organization_id TEXT NOT NULL,
            project_id TEXT NOT NULL,
            key_id TEXT NOT NULL,
            request_id TEXT NOT NULL,
            model TEXT NULL,
            outcome TEXT NOT NULL,
            record TEXT NOT NULL
        );
        CREATE INDEX audit_records_by_at ON audit_records (at);
        CREATE INDEX audit_records_by_organization ON audit_records (organization_id, at);
        CREATE INDEX audit_records_by_project ON audit_records (project_id, at);
        CREATE INDEX audit_records_by_key ON audit_records (key_id, at);
        CREATE INDEX audit_records_by_model ON audit_records (model, at);
        CREATE INDEX audit_records_by_request ON audit_records (request_id);
        CREATE INDEX audit_records_by_outcome ON audit_records (outcome, at) WHERE outcome NOT IN ('complete', 'tool_calls');

        CREATE TABLE ledger_entries (
            attempt_id TEXT NOT NULL PRIMARY KEY,
            generation_id TEXT NOT NULL,
            number INTEGER NOT NULL,
            at INTEGER NOT NULL,
            organization_id TEXT NOT NULL,
            project_id TEXT NOT NULL,
            key_id TEXT NOT NULL,
            model TEXT NULL,
            provider TEXT NOT NULL,
            deployment TEXT NOT NULL,
            upstream_model TEXT NOT NULL,
            outcome TEXT NULL,
            input_tokens INTEGER NOT NULL,
            cached_input_tokens INTEGER NOT NULL,
            cache_write_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL,
            reasoning_tokens INTEGER NOT NULL,
            basis TEXT NOT NULL,
            cost_pico_usd INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX ledger_entries_by_at ON ledger_entries (at);

        CREATE TABLE usage_hours (
            project_id TEXT NOT NULL,
            key_id TEXT NOT NULL,
            hour INTEGER NOT NULL,
            model TEXT NOT NULL,
            outcome TEXT NOT NULL,
            organization_id TEXT NOT NULL,
            requests INTEGER NOT NULL,
            input_tokens INTEGER NOT NULL,
            cached_input_tokens INTEGER NOT NULL,
            cache_write_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL,
            reasoning_tokens INTEGER NOT NULL,
            cost_pico_usd INTEGER NOT NULL,
            PRIMARY KEY (project_id, key_id, hour, model, outcome)
        ) WITHOUT ROWID;
        CREATE INDEX usage_hours_by_hour ON usage_hours (hour);
        CREATE INDEX usage_hours_by_project ON usage_hours (project_id, hour);

        CREATE TABLE spool_positions (
            node TEXT NOT NULL PRIMARY KEY,
            segment INTEGER NOT NULL,
            at_byte INTEGER NOT NULL
        ) WITHOUT ROWID;
        """;
}
