using Microsoft.Extensions.Logging;

namespace Fairlead.Webhooks;

internal static partial class WebhooksLog
{
    [LoggerMessage(12001, LogLevel.Warning, "The deliveries of webhooks cannot be read or written now: {Fault}")]
    public static partial void StoreAway(ILogger logger, string fault);

    [LoggerMessage(12002, LogLevel.Warning, "Delivery {DeliveryId} of webhook {WebhookId} was given up after {Attempts} attempts; the last brought {Result}")]
    public static partial void GivenUp(ILogger logger, string deliveryId, string webhookId, int attempts, string? result);

    [LoggerMessage(12003, LogLevel.Information, "Delivery {DeliveryId} was removed, or taken over by another node, while it was attempted")]
    public static partial void LeaseLost(ILogger logger, string deliveryId);

    [LoggerMessage(12004, LogLevel.Warning, "The attempt of delivery {DeliveryId} could not be noted and will be made again: {Fault}")]
    public static partial void NotNoted(ILogger logger, string deliveryId, string fault);

    [LoggerMessage(12005, LogLevel.Information, "{What} {WebhookId} by key {KeyId}")]
    public static partial void Changed(ILogger logger, string what, string webhookId, string keyId);

    [LoggerMessage(12006, LogLevel.Warning, "Webhook {WebhookId} of project {ProjectId} was disabled ({Reason}): what waits for it goes when it is enabled again")]
    public static partial void Disabled(ILogger logger, string webhookId, string projectId, string reason);
}
