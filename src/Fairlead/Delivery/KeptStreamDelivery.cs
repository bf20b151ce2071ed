using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;

namespace Fairlead.Delivery;

/// <summary>
/// Delivers a stream that can be read again. The generation is stored before it starts, and starts at once; the client is the first of its
/// readers. 1. Admit the call, 2. make a view and a run, 3. store the generation, 4. hand the call over and start the run, 5. stream the
/// view.
/// </summary>
internal sealed class KeptStreamDelivery(
    JobAdmission admission,
    AcceptedJobs jobs,
    JobCalls calls,
    GenerationRunner runner,
    KeptStreams streams) : IDelivery
{
    public async Task<GatewayError?> DeliverAsync(ClientExchange exchange, GatewayCall call, DeliveryPlan plan)
    {
        var response = exchange.Response;

        // 1.
        var admitted = await admission.AdmitAsync(exchange, call, plan);
        if (!admitted.IsAdmitted) return admitted.Error;

        // 2. Both before the generation is stored: if there is no memory for them, the request is refused and nothing runs.
        var record = JobCalls.RunningOf(call, null, plan.EndsWithClient);
        if (calls.ViewOf(record, call.Caller) is not { } view)
        {
            throw new InvalidOperationException("A request that was read cannot be read again.");
        }
        using var shown = view.Body;
        var (made, error) = calls.RunOf(record, call.Dialect, call.Caller);
        if (made is not { } run) return error;

        var isStarted = false;
        try
        {
            // 3.
            var unavailable = AcceptedJobs.Unavailable("The stream cannot be stored now, so it was not started.");
            if (await jobs.AddRunAsync(run, record, unavailable) is { } refusal) return refusal;

            // 4.
            run.TakeOver(call);
            run.IsAwaited = plan.EndsWithClient;
            run.Start(runner.RunAsync);
            isStarted = true;
        }
        finally
        {
            if (!isStarted) run.Dispose();
        }
        _ = jobs.FinishInStoreAsync(run, record);

        // 5.
        response.Headers["Api-Version"] = call.Caller.ApiVersion;
        ReplyHeaders.WriteNotices(response.Headers, call);
        var events = EventWriters.ViewOf(view, record, plan.StoredStreams!, response.Events.Format);
        try
        {
            await streams.RelayAsync(response, call, record, events, after: -1);
        }
        finally
        {
            // Its client left, or cannot be served any more. A run whose end was sent has completed.
            if (plan.EndsWithClient && !run.Completion.IsCompleted) run.Stop(CancellationReason.ClientLeft);
        }
        return null;
    }
}
