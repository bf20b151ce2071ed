using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Delivery;

/// <summary>One way to deliver a response. Singletons; thread-safe.</summary>
internal interface IDelivery
{
    /// <summary>
    /// Runs the call through the pipeline and writes its response. Returns the error of a call that failed before anything was sent; the
    /// caller writes it. Null if the response is written. If another call continues with the generation,
    /// <see cref="GatewayCall.HandedOver"/> is set.
    /// </summary>
    Task<GatewayError?> DeliverAsync(ClientExchange exchange, GatewayCall call, DeliveryPlan plan);
}
