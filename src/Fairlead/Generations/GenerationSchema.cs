using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>Generations that outlive their request: jobs and their results. Times are in milliseconds since 1970, UTC.</summary>
internal sealed class GenerationSchema : ISchemaStep
{
    public int Version => 200;

    public string Name => "generations";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE generations (
            id {sql.Text} NOT NULL PRIMARY KEY,
            organization_id {sql.Text} NOT NULL,
            project_id {sql.Text} NOT NULL,
            key_id {sql.Text} NOT NULL,
            request_id {sql.Text} NOT NULL,
            dialect {sql.Text} NOT NULL,
            endpoint {sql.Text} NOT NULL,
            model {sql.Text} NOT NULL,
            class_rank BIGINT NOT NULL,
            status {sql.Text} NOT NULL,
            outcome {sql.Text} NULL,
            created_at BIGINT NOT NULL,
            available_at BIGINT NOT NULL,
            started_at BIGINT NULL,
            ended_at BIGINT NULL,
            expires_at BIGINT NULL,
            deadline_at BIGINT NULL,
            runs BIGINT NOT NULL,
            returns BIGINT NOT NULL DEFAULT 0,
            cancel_requested BIGINT NOT NULL,
            lease_owner {sql.Text} NULL,
            lease_until BIGINT NULL,
            result_status BIGINT NOT NULL,
            request {sql.Bytes} NOT NULL,
            context {sql.Bytes} NOT NULL,
            result {sql.Bytes} NULL,
            details {sql.Bytes} NULL,
            progress {sql.Bytes} NULL
        );
        CREATE INDEX generations_by_project ON generations (project_id, id);
        CREATE INDEX generations_queued ON generations (class_rank, created_at, id) WHERE status = 'queued';
        CREATE INDEX generations_leased ON generations (lease_until) WHERE status = 'in_progress';
        CREATE INDEX generations_by_expiry ON generations (expires_at) WHERE expires_at IS NOT NULL;
        """;
}
