using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;

namespace Fairlead.Delivery;

/// <summary>
/// Delivers the whole response if it is ready within the wait, and otherwise 202; the same generation continues and is stored from then
/// on. 1. Admit the call, 2. start the run and hand the call over, 3. wait, 4. store the generation if the wait was too short, 5. otherwise
/// wait for its end, 6. give it to another process if this one stops, 7. else write its result.
/// </summary>
internal sealed class HybridDelivery(
    JobAdmission admission,
    AcceptedJobs jobs,
    AcceptedResponse accepted,
    JobCalls calls,
    GenerationRunner runner,
    AwaitedResult awaited,
    TimeProvider time) : IDelivery
{
    public async Task<GatewayError?> DeliverAsync(ClientExchange exchange, GatewayCall call, DeliveryPlan plan)
    {
        var response = exchange.Response;

        // 1.
        var admitted = await admission.AdmitAsync(exchange, call, plan);
        if (!admitted.IsAdmitted) return admitted.Error;

        // 2.
        var record = JobCalls.RunningOf(call, plan.Wait);
        var (made, error) = calls.RunOf(record, call.Dialect, call.Caller);
        if (made is not { } run) return error;
        run.TakeOver(call);
        run.Start(runner.RunAsync);

        var kept = false;
        try
        {
            // 3. and 4.
            kept = !await EndsWithinAsync(response, run, plan.Wait, call.ContinuesWithoutClient) && await TryKeepAsync(run, record);
            if (kept) await accepted.WriteAsync(response, call, record);
            else await WriteEndAsync(response, call, run, record);
            return null;
        }
        finally
        {
            if (!kept)
            {
                await run.Completion;
                run.Dispose();
            }
        }
    }

    private async Task<bool> EndsWithinAsync(IClientResponse response, GenerationRun run, TimeSpan wait, bool goesOn)
    {
        try
        {
            await run.Completion.WaitAsync(wait, time, response.Aborted);
            return true;
        }
        catch (TimeoutException)
        {
            return run.Completion.IsCompleted;
        }
        catch (OperationCanceledException)
        {
            // The client left before it got a 202, so there is no job, unless it asked for the generation to continue.
            if (!goesOn) run.Stop(CancellationReason.ClientLeft);
            return !goesOn;
        }
    }

    private async Task<bool> TryKeepAsync(GenerationRun run, GenerationRecord record)
    {
        var unavailable = new GatewayError(
            ErrorCode.StoreUnavailable, "The generation could not be stored. Its result went to the client that waited for it.");
        if (await jobs.AddRunAsync(run, record, unavailable) is not null) return false;
        _ = jobs.FinishInStoreAsync(run, record);
        return true;
    }

    /// <summary>For a run that ends in time, or that could not be stored: then the client waits as for any other call.</summary>
    private async Task WriteEndAsync(IClientResponse response, GatewayCall call, GenerationRun run, GenerationRecord record)
    {
        // 5.
        RunResult result;
        using (response.Aborted.UnsafeRegister(static state => ((GenerationRun)state!).Stop(CancellationReason.ClientLeft), run))
        {
            result = await run.Completion;
        }

        // 6.
        var isWanted = call.ContinuesWithoutClient || !response.Aborted.IsCancellationRequested;
        if (result.Stopped == CancellationReason.Shutdown && isWanted)
        {
            var queued = record with
            {
                Status = GenerationStatus.Queued, AvailableAt = record.CreatedAt, Returns = 1, Hold = JobHold.Of(run.Call.Reservation),
            };
            if (await jobs.TryHandOnAsync(queued))
            {
                await accepted.WriteAsync(response, call, queued);
                return;
            }
        }

        // 7.
        await awaited.ConcludeAsync(call, run, result);
        var body = AwaitedResult.Prepare(response, run, result);
        if (!response.Aborted.IsCancellationRequested) await response.WriteBodyAsync(body, response.Aborted);
    }
}
