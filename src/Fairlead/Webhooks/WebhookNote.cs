namespace Fairlead.Webhooks;

/// <summary>What became of a delivery when an attempt was noted.</summary>
/// <param name="Status">Its state now; null when nothing was noted, because the lease was lost or the delivery is gone.</param>
/// <param name="DisabledTheWebhook">Whether the webhook is disabled from now on.</param>
internal readonly record struct WebhookNote(WebhookDeliveryStatus? Status, bool DisabledTheWebhook)
{
    public static readonly WebhookNote LeaseLost = new(null, false);
}
