using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Http;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Webhooks;

/// <summary>The deliveries to the webhooks of one <see cref="WebhookFamily"/>.</summary>
internal sealed class WebhookDeliveryEndpoints(WebhookFamily family, WebhookStore webhooks, WebhookDeliveryStore deliveries, WebhookOutbox outbox,
    TimeProvider time, IAdminAudit? audit = null)
{
    public async Task<EndpointResult> ListAsync(EndpointRequest request)
    {
        var page = ListPage.Read(request, "whd_", ["webhook_id", "status", .. family.Filters]);
        var status = page.Filter("status");
        if (status is not null && !WebhookDeliveryStatusNames.All.Contains(status))
        {
            throw new GatewayErrorException(GatewayError.Invalid("status",
                $"The parameter 'status' must be one of {string.Join(", ", WebhookDeliveryStatusNames.All)}."));
        }

        var rows = await deliveries.ListAsync(family.Listed(request, page), page.Filter("webhook_id"), status, page.After, page.Limit + 1,
            request.Cancellation);
        return page.ToResult(rows, row => row.Id, (json, row) => WebhookWriter.Write(json, row, history: null));
    }

    public async Task<EndpointResult> GetAsync(EndpointRequest request)
    {
        var delivery = await deliveries.FindAsync(family.Visible(request), request.Id, request.Cancellation) ?? throw NotFound();
        var history = await deliveries.HistoryAsync(delivery.Id, request.Cancellation);
        return EndpointResult.Json(json => WebhookWriter.Write(json, delivery, history));
    }

    /// <summary>Restarts the schedule now, with the same event and its id.</summary>
    public async Task<EndpointResult> RedeliverAsync(EndpointRequest request)
    {
        using var body = await request.ReadOptionalJsonAsync();
        new BodyFields(body.RootElement, FieldSet.None).ThrowIfInvalid();
        var owner = family.Visible(request);
        var delivery = await deliveries.FindAsync(owner, request.Id, request.Cancellation) ?? throw NotFound();
        if (await webhooks.FindAsync(owner, delivery.WebhookId, request.Cancellation) is { Enabled: false })
        {
            throw EndpointErrors.Conflict("The webhook of this delivery is disabled.",
                "Enable it first: PATCH it with {\"status\":\"enabled\"}.");
        }

        var again = await deliveries.RedeliverAsync(owner, request.Id, time.GetUtcNow(), request.Cancellation) ?? throw NotFound();
        outbox.Announce();
        if (family.IsAdministration)
        {
            audit?.Record(new AdminAction(request.Actor, "webhook.redeliver")
            {
                ResourceType = "webhook_delivery", ResourceId = again.Id,
            });
        }
        var history = await deliveries.HistoryAsync(again.Id, request.Cancellation);
        return EndpointResult.Json(json => WebhookWriter.Write(json, again, history), StatusCodes.Status202Accepted);
    }

    private static GatewayErrorException NotFound() => EndpointErrors.NotFound("delivery");
}
