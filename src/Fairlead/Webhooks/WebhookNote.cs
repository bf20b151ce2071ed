namespace Fairlead.Webhooks;

/// <summary>The state of a delivery after an attempt was recorded.</summary>
/// <param name="Status">Its state now; null when nothing was recorded, because the lease was lost or the delivery no longer exists.</param>
/// <param name="DisabledTheWebhook">Whether the webhook is disabled from now on.</param>
internal readonly record struct WebhookNote(WebhookDeliveryStatus? Status, bool DisabledTheWebhook)
{
    public static readonly WebhookNote LeaseLost = new(null, false);
}
