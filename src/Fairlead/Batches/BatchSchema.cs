using Fairlead.Storage;

namespace Fairlead.Batches;

/// <summary>
/// Batches. Times are milliseconds since 1970 in UTC. A node that works on a batch holds its lease; writes without it have no effect. Lines
/// are generations (<see cref="Generations.GenerationBatchSchema"/>), and only as many at once as a queue should hold: <c>fed_offset</c> is
/// where the rest starts.
/// </summary>
internal sealed class BatchSchema : ISchemaStep
{
    public int Version => 511;

    public string Name => "batches";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE batches (
            id {sql.Text} NOT NULL PRIMARY KEY,
            organization_id {sql.Text} NOT NULL,
            project_id {sql.Text} NOT NULL,
            key_id {sql.Text} NOT NULL,
            endpoint {sql.Text} NOT NULL,
            input_file_id {sql.Text} NOT NULL,
            status {sql.Text} NOT NULL,
            ending {sql.Text} NULL,
            model {sql.Text} NULL,
            errors {sql.Bytes} NULL,
            output_file_id {sql.Text} NULL,
            error_file_id {sql.Text} NULL,
            created_at BIGINT NOT NULL,
            expires_at BIGINT NOT NULL,
            in_progress_at BIGINT NULL,
            finalizing_at BIGINT NULL,
            cancelling_at BIGINT NULL,
            ended_at BIGINT NULL,
            total BIGINT NOT NULL DEFAULT 0,
            done BIGINT NOT NULL DEFAULT 0,
            failures BIGINT NOT NULL DEFAULT 0,
            usage {sql.Bytes} NULL,
            metadata {sql.Bytes} NULL,
            output_ttl BIGINT NULL,
            fed_lines BIGINT NOT NULL DEFAULT 0,
            fed_offset BIGINT NOT NULL DEFAULT 0,
            idempotency_key {sql.Text} NULL,
            fingerprint {sql.Bytes} NOT NULL,
            next_at BIGINT NOT NULL,
            lease_owner {sql.Text} NULL,
            lease_until BIGINT NULL
        );
        CREATE INDEX batches_by_project ON batches (project_id, id);
        CREATE UNIQUE INDEX batches_by_idempotency_key ON batches (project_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
        CREATE INDEX batches_open ON batches (next_at) WHERE ended_at IS NULL;
        CREATE INDEX batches_by_end ON batches (ended_at) WHERE ended_at IS NOT NULL;
        """;
}
