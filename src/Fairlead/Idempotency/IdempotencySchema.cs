using Fairlead.Storage;

namespace Fairlead.Idempotency;

/// <summary>Keys that clients sent with their requests, and the outcomes. Times are milliseconds since 1970 in UTC.</summary>
internal sealed class IdempotencySchema : ISchemaStep
{
    public int Version => 450;

    public string Name => "idempotency keys";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE idempotency_keys (
            project_id {sql.Text} NOT NULL,
            idempotency_key {sql.Text} NOT NULL,
            request_hash {sql.Bytes} NOT NULL,
            generation_id {sql.Text} NOT NULL,
            owner {sql.Text} NOT NULL,
            lease_until BIGINT NOT NULL,
            expires_at BIGINT NOT NULL,
            status BIGINT NOT NULL,
            content_type {sql.Text} NULL,
            broken BIGINT NOT NULL,
            body {sql.Bytes} NULL,
            PRIMARY KEY (project_id, idempotency_key)
        );
        CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
        """;
}
