using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;

namespace Fairlead.Delivery;

/// <summary>
/// Delivers the whole response of a generation that is stored from its start, so that its result and its events can be read again. 1. Admit
/// the call, 2. store the generation, 3. hand the call over and start the run, 4. wait, 5. return 202 if the wait was too short, 6. return
/// 202 too if another run replaces this one, because this process stops or lost its lease, 7. else store its end and write its result.
/// </summary>
/// <remarks>A run that ends with its client does so until that has the 202. With a 202, it is a job.</remarks>
internal sealed class StoredDelivery(
    JobAdmission admission,
    AcceptedJobs jobs,
    AcceptedResponse accepted,
    AwaitedResult awaited,
    JobCalls calls,
    GenerationRunner runner,
    TimeProvider time) : IDelivery
{
    public async Task<GatewayError?> DeliverAsync(ClientExchange exchange, GatewayCall call, DeliveryPlan plan)
    {
        var response = exchange.Response;

        // 1.
        var admitted = await admission.AdmitAsync(exchange, call, plan);
        if (!admitted.IsAdmitted) return admitted.Error;

        // 2.
        var record = JobCalls.RunningOf(call, plan.Wait, IsNeverJob(plan));
        var (made, error) = calls.RunOf(record, call.Dialect, call.Caller);
        if (made is not { } run) return error;
        var isStarted = false;
        try
        {
            var unavailable = AcceptedJobs.Unavailable("The generation cannot be stored now, so it was not started.");
            if (await jobs.AddRunAsync(run, record, unavailable) is { } refusal) return refusal;

            // 3.
            run.TakeOver(call);
            run.Start(runner.RunAsync);
            isStarted = true;
        }
        finally
        {
            if (!isStarted) run.Dispose();
        }

        // 4.
        using (plan.EndsWithClient ? StopWithClient(response, run) : default)
        {
            if (!await EndsInTimeAsync(response, run, plan))
            {
                // 5.
                _ = jobs.FinishInStoreAsync(run, record);
                await accepted.WriteAsync(response, call, record);
                return null;
            }
        }
        await WriteEndAsync(response, call, run, record, plan);
        return null;
    }

    // Without a maximum of the wait, there is no 202.
    private static bool IsNeverJob(DeliveryPlan plan) => plan.EndsWithClient && plan.Wait == Timeout.InfiniteTimeSpan;

    /// <summary>Whether the run has ended, or its client has left and nobody waits for a 202.</summary>
    private async Task<bool> EndsInTimeAsync(IClientResponse response, GenerationRun run, DeliveryPlan plan)
    {
        // Without a maximum, there is no 202 for which a client that has left could not wait.
        var left = plan.Wait == Timeout.InfiniteTimeSpan ? CancellationToken.None : response.Aborted;
        try
        {
            await run.Completion.WaitAsync(plan.Wait, time, left);
            return true;
        }
        catch (TimeoutException)
        {
            return run.Completion.IsCompleted;
        }
        catch (OperationCanceledException)
        {
            if (!plan.EndsWithClient) return false;
            await run.Completion;
            return true;
        }
    }

    private static CancellationTokenRegistration StopWithClient(IClientResponse response, GenerationRun run) =>
        response.Aborted.UnsafeRegister(
            static state =>
            {
                var run = (GenerationRun)state!;
                // Nobody waits for another run.
                run.IsAwaited = true;
                run.Stop(CancellationReason.ClientLeft);
            },
            run);

    private async Task WriteEndAsync(
        IClientResponse response, GatewayCall call, GenerationRun run, GenerationRecord record, DeliveryPlan plan)
    {
        var result = await run.Completion;

        // 6.
        if (result.Stopped is (CancellationReason.Shutdown or CancellationReason.LeaseLost) && !IsNeverJob(plan))
        {
            await jobs.FinishInStoreAsync(run, record);
            await accepted.WriteAsync(response, call, record with { Status = GenerationStatus.Queued });
            return;
        }

        // 7. The end is stored before it is sent: a client that has the response finds it.
        run.IsAwaited = true;
        await awaited.ConcludeAsync(call, run, result);
        var body = AwaitedResult.Prepare(response, run, result);
        await jobs.FinishInStoreAsync(run, record);
        if (!response.Aborted.IsCancellationRequested) await response.WriteBodyAsync(body, response.Aborted);
    }
}
