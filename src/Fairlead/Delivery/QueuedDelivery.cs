using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;

namespace Fairlead.Delivery;

/// <summary>
/// Delivers an immediate response; the client polls, or gets a webhook: 1. admit the call, 2. put it into the queue, 3. write the response
/// in the dialect of the request if that has one, else as a generation.
/// </summary>
internal sealed class QueuedDelivery(JobAdmission admission, AcceptedJobs jobs, AcceptedResponse accepted) : IDelivery
{
    public async Task<GatewayError?> DeliverAsync(ClientExchange exchange, GatewayCall call, DeliveryPlan plan)
    {
        // 1.
        var admitted = await admission.AdmitAsync(exchange, call, plan);
        if (!admitted.IsAdmitted) return admitted.Error;

        // 2.
        var record = JobCalls.QueuedOf(call);
        if (await jobs.QueueAsync(call, record) is { } error) return error;

        // 3.
        if (plan.Background is { } background) await accepted.WriteInDialectAsync(exchange.Response, call, background);
        else await accepted.WriteAsync(exchange.Response, call, record);
        return null;
    }
}
