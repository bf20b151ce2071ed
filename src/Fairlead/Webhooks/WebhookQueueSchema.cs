using Fairlead.Storage;

namespace Fairlead.Webhooks;

/// <summary>
/// Indexes of each webhook's waiting and running deliveries, so that a long queue of one webhook is not read for the others.
/// </summary>
internal sealed class WebhookQueueSchema : ISchemaStep
{
    public int Version => 401;

    public string Name => "queues of webhooks";

    public string Sql(SqlFlavour sql) => """
        CREATE INDEX webhook_deliveries_queue ON webhook_deliveries (webhook_id, next_at, id) WHERE status = 'pending';
        CREATE INDEX webhook_deliveries_leased ON webhook_deliveries (webhook_id) WHERE status = 'pending' AND lease_until IS NOT NULL;
        DROP INDEX webhook_deliveries_pending;
        """;
}
