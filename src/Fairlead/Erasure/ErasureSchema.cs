using Fairlead.Storage;

namespace Fairlead.Erasure;

/// <summary>Erasures, what they found, and how far they are. They stay: a record that arrives late is compared with them.</summary>
internal sealed class ErasureSchema : ISchemaStep
{
    public int Version => 880;

    public string Name => "erasures";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE erasures (
            id {sql.Text} NOT NULL PRIMARY KEY,
            status {sql.Text} NOT NULL,
            kind {sql.Text} NOT NULL,
            target_id {sql.Text} NULL,
            project_id {sql.Text} NULL,
            organization_id {sql.Text} NULL,
            salt {sql.Bytes} NULL,
            user_hash {sql.Bytes} NULL,
            label BIGINT NOT NULL,
            what {sql.Text} NOT NULL,
            reason {sql.Text} NULL,
            created_at BIGINT NOT NULL,
            completed_at BIGINT NULL,
            step {sql.Text} NOT NULL,
            step_cursor {sql.Text} NOT NULL,
            again BIGINT NOT NULL DEFAULT 0,
            failures BIGINT NOT NULL DEFAULT 0,
            error {sql.Text} NULL,
            waiting_for {sql.Text} NULL,
            rounds BIGINT NOT NULL DEFAULT 0,
            next_at BIGINT NOT NULL DEFAULT 0,
            lease_owner {sql.Text} NULL,
            lease_until BIGINT NULL
        );
        CREATE INDEX erasures_open ON erasures (next_at) WHERE status = 'queued' OR status = 'running';

        CREATE TABLE erasure_counts (
            erasure_id {sql.Text} NOT NULL,
            store {sql.Text} NOT NULL,
            count BIGINT NOT NULL,
            PRIMARY KEY (erasure_id, store)
        ){sql.Keyed};

        CREATE TABLE erased_generations (
            erasure_id {sql.Text} NOT NULL,
            generation_id {sql.Text} NOT NULL,
            project_id {sql.Text} NOT NULL,
            PRIMARY KEY (erasure_id, generation_id)
        ){sql.Keyed};
        CREATE INDEX erased_generations_by_id ON erased_generations (generation_id);

        CREATE TABLE erasure_blocks (
            erasure_id {sql.Text} NOT NULL,
            block BIGINT NOT NULL,
            node {sql.Text} NOT NULL,
            PRIMARY KEY (erasure_id, block)
        ){sql.Keyed};
        CREATE INDEX erasure_blocks_by_node ON erasure_blocks (node);

        CREATE TABLE erasure_positions (
            node {sql.Text} NOT NULL PRIMARY KEY,
            sequence BIGINT NOT NULL
        ){sql.Keyed};

        CREATE TABLE erasure_spools (
            node {sql.Text} NOT NULL PRIMARY KEY,
            marks BIGINT NOT NULL
        ){sql.Keyed};

        CREATE TABLE erasure_filler (
            id BIGINT NOT NULL PRIMARY KEY,
            content {sql.Bytes} NOT NULL
        );
        """;
}
