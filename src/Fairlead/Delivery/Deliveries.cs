namespace Fairlead.Delivery;

/// <summary>The six deliveries, by their kind. Thread-safe.</summary>
internal sealed class Deliveries(
    SyncDelivery sync,
    StreamDelivery stream,
    KeptStreamDelivery keptStream,
    QueuedDelivery queued,
    HybridDelivery hybrid,
    StoredDelivery stored)
{
    public IDelivery Of(DeliveryKind kind) => kind switch
    {
        DeliveryKind.Sync => sync,
        DeliveryKind.Stream => stream,
        DeliveryKind.KeptStream => keptStream,
        DeliveryKind.Queued => queued,
        DeliveryKind.Hybrid => hybrid,
        DeliveryKind.Stored => stored,
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "There is no such delivery."),
    };
}
