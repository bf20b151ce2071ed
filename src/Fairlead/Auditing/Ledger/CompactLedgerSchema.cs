using Fairlead.Storage;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// In SQLite, where the gateway's own process writes the rows: repeated names are numbers, the entry of an attempt refers to its
/// call by number, and one index of numbers in the order of time serves every filter but those by id. A call is written to four tables and
/// indexes instead of eleven. <c>audit_records</c> and <c>ledger_entries</c> remain as views with the same columns.
/// PostgreSQL, on processors of its own, keeps the tables.
/// </summary>
internal sealed class CompactLedgerSchema : ISchemaStep
{
    public int Version => 101;

    public string Name => "compact audit records and ledger in SQLite";

    public string Sql(SqlFlavour sql) => sql.Provider == StorageProvider.Sqlite ? Compact : "SELECT 1";

    // A request's id is NULL if it follows from the generation's, as the ids of attempts follow from their call's id and their number.
    private const string Compact = """
        CREATE TABLE audit_names (
            number INTEGER NOT NULL PRIMARY KEY,
            name TEXT NOT NULL UNIQUE
        );
        INSERT INTO audit_names (name)
            SELECT node FROM audit_records UNION SELECT organization_id FROM audit_records UNION SELECT project_id FROM audit_records UNION SELECT key_id FROM audit_records
            UNION SELECT model FROM audit_records WHERE model IS NOT NULL UNION SELECT outcome FROM audit_records
            UNION SELECT provider FROM ledger_entries UNION SELECT deployment FROM ledger_entries UNION SELECT upstream_model FROM ledger_entries
            UNION SELECT outcome FROM ledger_entries WHERE outcome IS NOT NULL UNION SELECT basis FROM ledger_entries;

        CREATE TABLE audit_calls (
            number INTEGER NOT NULL PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            node INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            at INTEGER NOT NULL,
            organization INTEGER NOT NULL,
            project INTEGER NOT NULL,
            key INTEGER NOT NULL,
            model INTEGER NULL,
            outcome INTEGER NOT NULL,
            request_id TEXT NULL,
            record TEXT NOT NULL
        );
        INSERT INTO audit_calls (number, id, node, sequence, at, organization, project, key, model, outcome, request_id, record)
            SELECT r.number, r.id, n.number, r.sequence, r.at, o.number, p.number, k.number, m.number, c.number, r.request_id, r.record
            FROM audit_records r
                JOIN audit_names n ON n.name = r.node JOIN audit_names o ON o.name = r.organization_id JOIN audit_names p ON p.name = r.project_id
                JOIN audit_names k ON k.name = r.key_id LEFT JOIN audit_names m ON m.name = r.model JOIN audit_names c ON c.name = r.outcome
            ORDER BY r.number;

        CREATE TABLE ledger_attempts (
            call INTEGER NOT NULL,
            number INTEGER NOT NULL,
            provider INTEGER NOT NULL,
            deployment INTEGER NOT NULL,
            upstream_model INTEGER NOT NULL,
            outcome INTEGER NULL,
            input_tokens INTEGER NOT NULL,
            cached_input_tokens INTEGER NOT NULL,
            cache_write_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL,
            reasoning_tokens INTEGER NOT NULL,
            basis INTEGER NOT NULL,
            cost_pico_usd INTEGER NOT NULL,
            PRIMARY KEY (call, number)
        ) WITHOUT ROWID;
        INSERT INTO ledger_attempts
            SELECT r.number, e.number, p.number, d.number, u.number, o.number, e.input_tokens, e.cached_input_tokens, e.cache_write_tokens, e.output_tokens, e.reasoning_tokens, b.number, e.cost_pico_usd
            FROM ledger_entries e
                JOIN audit_records r ON r.id = 'aud_' || substr(e.generation_id, 5)
                JOIN audit_names p ON p.name = e.provider JOIN audit_names d ON d.name = e.deployment JOIN audit_names u ON u.name = e.upstream_model
                LEFT JOIN audit_names o ON o.name = e.outcome JOIN audit_names b ON b.name = e.basis
            WHERE true ON CONFLICT (call, number) DO NOTHING;

        DROP TABLE audit_records;
        DROP TABLE ledger_entries;
        CREATE INDEX audit_calls_by_at ON audit_calls (at, number, organization, project, key, model, outcome);
        CREATE INDEX audit_calls_by_request ON audit_calls (request_id) WHERE request_id IS NOT NULL;

        CREATE VIEW audit_records AS
            SELECT a.number, a.id, n.name AS node, a.sequence, a.at, o.name AS organization_id, p.name AS project_id, k.name AS key_id,
                coalesce(a.request_id, 'req_' || substr(a.id, 5)) AS request_id, m.name AS model, c.name AS outcome, a.record
            FROM audit_calls a
                LEFT JOIN audit_names n ON n.number = a.node LEFT JOIN audit_names o ON o.number = a.organization LEFT JOIN audit_names p ON p.number = a.project
                LEFT JOIN audit_names k ON k.number = a.key LEFT JOIN audit_names m ON m.number = a.model LEFT JOIN audit_names c ON c.number = a.outcome;
        CREATE VIEW ledger_entries AS
            SELECT 'att_' || substr(a.id, 5) || '_' || l.number AS attempt_id, 'gen_' || substr(a.id, 5, 26) AS generation_id, l.number, a.at,
                o.name AS organization_id, p.name AS project_id, k.name AS key_id, m.name AS model, v.name AS provider, d.name AS deployment, u.name AS upstream_model, c.name AS outcome,
                l.input_tokens, l.cached_input_tokens, l.cache_write_tokens, l.output_tokens, l.reasoning_tokens, b.name AS basis, l.cost_pico_usd
            FROM ledger_attempts l JOIN audit_calls a ON a.number = l.call
                LEFT JOIN audit_names o ON o.number = a.organization LEFT JOIN audit_names p ON p.number = a.project LEFT JOIN audit_names k ON k.number = a.key
                LEFT JOIN audit_names m ON m.number = a.model LEFT JOIN audit_names v ON v.number = l.provider LEFT JOIN audit_names d ON d.number = l.deployment
                LEFT JOIN audit_names u ON u.number = l.upstream_model LEFT JOIN audit_names c ON c.number = l.outcome LEFT JOIN audit_names b ON b.number = l.basis;
        """;
}
