using Fairlead.Storage;

namespace Fairlead.Auditing.Blocks;

/// <summary>
/// Blocks of audit records, and what proves that they are complete: the end of each node's chain, signed checkpoints, the ranges that were
/// removed. A call is no longer a row with indexes: some hundred records are one compressed row with a small index of its own.
/// <c>audit_records</c> and <c>ledger_entries</c> are read once more, to convert what they contain.
/// </summary>
internal sealed class AuditBlockSchema : ISchemaStep
{
    public int Version => 104;

    public string Name => "audit records in blocks, chained by their hashes";

    // The index has first_at, so that a search skips blocks without reading them. Last come the two large columns: whatever is read without
    // them does not read their pages.
    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE audit_blocks (
            number {sql.RowNumber},
            node {sql.Text} NOT NULL,
            first_sequence BIGINT NOT NULL,
            records BIGINT NOT NULL,
            first_at BIGINT NOT NULL,
            last_at BIGINT NOT NULL,
            previous_hash {sql.Bytes} NOT NULL,
            hash {sql.Bytes} NOT NULL,
            removal {sql.Text} NULL,
            terms {sql.Bytes} NOT NULL,
            data {sql.Bytes} NOT NULL
        );
        CREATE UNIQUE INDEX audit_blocks_by_sequence ON audit_blocks (node, first_sequence);
        CREATE INDEX audit_blocks_by_time ON audit_blocks (last_at, number, first_at);

        CREATE TABLE audit_chains (
            node {sql.Text} NOT NULL PRIMARY KEY,
            sequence BIGINT NOT NULL,
            hash {sql.Bytes} NOT NULL,
            open_block BIGINT NOT NULL,
            checkpoint_sequence BIGINT NOT NULL,
            checkpoint_at BIGINT NOT NULL
        ){sql.Keyed};

        CREATE TABLE audit_checkpoints (
            node {sql.Text} NOT NULL,
            sequence BIGINT NOT NULL,
            previous BIGINT NOT NULL,
            hash {sql.Bytes} NOT NULL,
            at BIGINT NOT NULL,
            key_id {sql.Text} NOT NULL,
            signature {sql.Bytes} NOT NULL,
            PRIMARY KEY (node, sequence)
        ){sql.Keyed};

        CREATE TABLE audit_removed (
            node {sql.Text} NOT NULL,
            first_sequence BIGINT NOT NULL,
            last_sequence BIGINT NOT NULL,
            previous_hash {sql.Bytes} NOT NULL,
            hash {sql.Bytes} NOT NULL,
            reason {sql.Text} NOT NULL,
            at BIGINT NOT NULL,
            last_at BIGINT NOT NULL,
            key_id {sql.Text} NOT NULL,
            signature {sql.Bytes} NOT NULL,
            PRIMARY KEY (node, first_sequence)
        ){sql.Keyed};

        CREATE TABLE audit_keys (
            id {sql.Text} NOT NULL PRIMARY KEY,
            public_key {sql.Bytes} NOT NULL,
            created_at BIGINT NOT NULL
        ){sql.Keyed};

        CREATE TABLE audit_changes (
            number {sql.RowNumber},
            record {sql.Bytes} NOT NULL
        );
        {(sql.Provider == StorageProvider.Postgres ? External : "")}
        """;

    // They are compressed already, or do not become smaller.
    private const string External = """

        ALTER TABLE audit_blocks ALTER COLUMN terms SET STORAGE EXTERNAL;
        ALTER TABLE audit_blocks ALTER COLUMN data SET STORAGE EXTERNAL;
        """;
}
