using Fairlead.Conversation;
using Fairlead.Storage;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Audit records, ledger entries, their hourly sums and the read position of each node's spool. Times are milliseconds since 1970 in
/// UTC, money is picodollars (<see cref="Money"/>). Rows are written in the order of time, so that almost every index grows at its end.
/// </summary>
internal sealed class LedgerSchema : ISchemaStep
{
    public int Version => 100;

    public string Name => "audit records and ledger";

    public string Sql(SqlFlavour sql) => Tables(sql, sql.Provider == StorageProvider.Sqlite ? "" : ", number");

    // audit_records.id follows from generation_id, so the unique index on it finds generations too. Only rare outcomes are indexed:
    // for the common ones the index would be as long as the table and of no use.
    // In SQLite every index implicitly ends with the row's number.
    private static string Tables(SqlFlavour sql, string number) => $"""
        CREATE TABLE audit_records (
            number {sql.RowNumber},
            id {sql.Text} NOT NULL UNIQUE,
            node {sql.Text} NOT NULL,
            sequence BIGINT NOT NULL,
            at BIGINT NOT NULL,
            organization_id {sql.Text} NOT NULL,
            project_id {sql.Text} NOT NULL,
            key_id {sql.Text} NOT NULL,
            request_id {sql.Text} NOT NULL,
            model {sql.Text} NULL,
            outcome {sql.Text} NOT NULL,
            record {sql.Text} NOT NULL
        );
        CREATE INDEX audit_records_by_at ON audit_records (at{number});
        CREATE INDEX audit_records_by_organization ON audit_records (organization_id, at{number});
        CREATE INDEX audit_records_by_project ON audit_records (project_id, at{number});
        CREATE INDEX audit_records_by_key ON audit_records (key_id, at{number});
        CREATE INDEX audit_records_by_model ON audit_records (model, at{number});
        CREATE INDEX audit_records_by_request ON audit_records (request_id);
        CREATE INDEX audit_records_by_outcome ON audit_records (outcome, at{number}) WHERE outcome NOT IN ('complete', 'tool_calls');

        CREATE TABLE ledger_entries (
            attempt_id {sql.Text} NOT NULL PRIMARY KEY,
            generation_id {sql.Text} NOT NULL,
            number BIGINT NOT NULL,
            at BIGINT NOT NULL,
            organization_id {sql.Text} NOT NULL,
            project_id {sql.Text} NOT NULL,
            key_id {sql.Text} NOT NULL,
            model {sql.Text} NULL,
            provider {sql.Text} NOT NULL,
            deployment {sql.Text} NOT NULL,
            upstream_model {sql.Text} NOT NULL,
            outcome {sql.Text} NULL,
            input_tokens BIGINT NOT NULL,
            cached_input_tokens BIGINT NOT NULL,
            cache_write_tokens BIGINT NOT NULL,
            output_tokens BIGINT NOT NULL,
            reasoning_tokens BIGINT NOT NULL,
            basis {sql.Text} NOT NULL,
            cost_pico_usd BIGINT NOT NULL
        ){sql.Keyed};
        CREATE INDEX ledger_entries_by_at ON ledger_entries (at);

        CREATE TABLE usage_hours (
            project_id {sql.Text} NOT NULL,
            key_id {sql.Text} NOT NULL,
            hour BIGINT NOT NULL,
            model {sql.Text} NOT NULL,
            outcome {sql.Text} NOT NULL,
            organization_id {sql.Text} NOT NULL,
            requests BIGINT NOT NULL,
            input_tokens BIGINT NOT NULL,
            cached_input_tokens BIGINT NOT NULL,
            cache_write_tokens BIGINT NOT NULL,
            output_tokens BIGINT NOT NULL,
            reasoning_tokens BIGINT NOT NULL,
            cost_pico_usd BIGINT NOT NULL,
            PRIMARY KEY (project_id, key_id, hour, model, outcome)
        ){sql.Keyed};
        CREATE INDEX usage_hours_by_hour ON usage_hours (hour);
        CREATE INDEX usage_hours_by_project ON usage_hours (project_id, hour);

        CREATE TABLE spool_positions (
            node {sql.Text} NOT NULL PRIMARY KEY,
            segment BIGINT NOT NULL,
            at_byte BIGINT NOT NULL
        ){sql.Keyed};
        """;
}
