using Microsoft.Extensions.Logging;

namespace Fairlead.Webhooks;

internal static partial class WebhooksLog
{
    [LoggerMessage(12001, LogLevel.Warning, "Webhook deliveries cannot be read or written: {Error}")]
    public static partial void StoreUnavailable(ILogger logger, string error);

    [LoggerMessage(12002, LogLevel.Warning,
        "Delivery {DeliveryId} of webhook {WebhookId} was given up after {Attempts} attempts; the last result was {Result}")]
    public static partial void GivenUp(ILogger logger, string deliveryId, string webhookId, int attempts, string? result);

    [LoggerMessage(12003, LogLevel.Information, "Delivery {DeliveryId} was removed, or taken over by another node, during an attempt")]
    public static partial void LeaseLost(ILogger logger, string deliveryId);

    [LoggerMessage(12004, LogLevel.Warning, "The attempt of delivery {DeliveryId} could not be recorded and will be repeated: {Error}")]
    public static partial void NotRecorded(ILogger logger, string deliveryId, string error);

    [LoggerMessage(12005, LogLevel.Information, "{What} {WebhookId} by key {KeyId}")]
    public static partial void Changed(ILogger logger, string what, string webhookId, string keyId);

    [LoggerMessage(12006, LogLevel.Warning,
        "Webhook {WebhookId} of {OwnerId} was disabled ({Reason}); waiting deliveries are sent when it is enabled again")]
    public static partial void Disabled(ILogger logger, string webhookId, string ownerId, string reason);
}
