using Fairlead.Storage;

namespace Fairlead.Webhooks;

/// <summary>
/// Webhooks of projects and organizations, their deliveries and the attempts of those. Times are milliseconds since 1970 in UTC. The column
/// <c>project_id</c> has the owner (<see cref="WebhookOwner"/>). The one webhook of a project without an address signs deliveries to the
/// addresses of single requests. A deleted project has no keys, so its rows cannot be reached.
/// </summary>
internal sealed class WebhookSchema : ISchemaStep
{
    public int Version => 400;

    public string Name => "webhooks";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE webhooks (
            id {sql.Text} NOT NULL PRIMARY KEY,
            project_id {sql.Text} NOT NULL,
            url {sql.Text} NULL,
            description {sql.Text} NULL,
            events {sql.Text} NOT NULL,
            signature {sql.Text} NOT NULL,
            secret {sql.Bytes} NOT NULL,
            previous_secret {sql.Bytes} NULL,
            previous_until BIGINT NULL,
            status {sql.Text} NOT NULL,
            disabled_reason {sql.Text} NULL,
            failing_since BIGINT NULL,
            not_before BIGINT NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
        ){sql.Keyed};
        CREATE INDEX webhooks_by_project ON webhooks (project_id, id);
        CREATE UNIQUE INDEX webhooks_of_requests ON webhooks (project_id) WHERE url IS NULL;

        CREATE TABLE webhook_deliveries (
            id {sql.Text} NOT NULL PRIMARY KEY,
            webhook_id {sql.Text} NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
            project_id {sql.Text} NOT NULL,
            url {sql.Text} NULL,
            event_id {sql.Text} NOT NULL,
            type {sql.Text} NOT NULL,
            payload {sql.Bytes} NOT NULL,
            status {sql.Text} NOT NULL,
            attempts BIGINT NOT NULL,
            step BIGINT NOT NULL,
            next_at BIGINT NOT NULL,
            lease_owner {sql.Text} NULL,
            lease_until BIGINT NULL,
            last_status_code BIGINT NULL,
            last_error {sql.Text} NULL,
            created_at BIGINT NOT NULL,
            ended_at BIGINT NULL
        );
        CREATE INDEX webhook_deliveries_by_project ON webhook_deliveries (project_id, id);
        CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook_id, id);
        CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (next_at) WHERE status = 'pending';
        CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at);

        CREATE TABLE webhook_attempts (
            delivery_id {sql.Text} NOT NULL REFERENCES webhook_deliveries (id) ON DELETE CASCADE,
            number BIGINT NOT NULL,
            at BIGINT NOT NULL,
            duration_ms BIGINT NOT NULL,
            status_code BIGINT NULL,
            error {sql.Text} NULL,
            PRIMARY KEY (delivery_id, number)
        ){sql.Keyed};
        """;
}
