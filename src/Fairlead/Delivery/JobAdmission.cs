using Fairlead.Errors;
using Fairlead.Idempotency;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;
using Fairlead.Webhooks;

namespace Fairlead.Delivery;

/// <summary>
/// The start of every delivery that outlives its request: 1. check the webhook, 2. say how long a repeated request waits, 3. run the
/// stages of admission, 4. replay the response of a repeated request, 5. confirm the client's preference. Thread-safe.
/// </summary>
internal sealed class JobAdmission(GatewayPipeline pipeline, IdempotencyReplay replay, WebhookRules webhooks, PlaceholderShelf shelf)
{
    /// <summary>The maximum time to accept a job, in addition to the wait of its client.</summary>
    private static readonly TimeSpan AcceptanceTime = TimeSpan.FromSeconds(5);

    public async Task<JobAdmissionResult> AdmitAsync(ClientExchange exchange, GatewayCall call, DeliveryPlan plan)
    {
        // 1.
        if (CheckWebhook(call) is { } wrong) return JobAdmissionResult.Refused(wrong);

        // 2. The first request has the same wait and gets its response when that is over at the latest. A stream is joined instead.
        if (!plan.Streams) call.RepeatTimeout = plan.Wait + AcceptanceTime;

        // 3. The others start at once, and their client waits for them.
        call.RunsLater = plan.Kind == DeliveryKind.Queued;
        var reply = await pipeline.AdmitAsync(call, exchange.Response.Aborted);
        if (reply is GatewayReply.Refused refused) return JobAdmissionResult.Refused(refused.Error);

        // 4.
        if (await replay.TryWriteAsync(exchange, call, reply)) return JobAdmissionResult.Replayed;

        // 5.
        shelf.Keep(call);
        if (plan.IsPreferred)
        {
            exchange.Response.Headers["Preference-Applied"] = "respond-async";
            exchange.Response.Headers.Vary = "Prefer";
        }
        return JobAdmissionResult.Admitted;
    }

    private GatewayError? CheckWebhook(GatewayCall call) =>
        call.Facts.Extension.Webhook is { } url && webhooks.Read(url).Fault is { } reason
            ? GatewayError.Invalid(call.Dialect.WebhookField, $"The address in '{call.Dialect.WebhookField}' cannot be used. {reason}")
            : null;
}

/// <summary>What became of a request for a job.</summary>
/// <param name="IsAdmitted">Whether the job may be stored and run. Otherwise the request is finished.</param>
/// <param name="Error">Why it is refused; null if it is admitted, or if the response of an earlier request was written.</param>
internal readonly record struct JobAdmissionResult(bool IsAdmitted, GatewayError? Error)
{
    public static JobAdmissionResult Admitted => new(true, null);

    public static JobAdmissionResult Replayed => new(false, null);

    public static JobAdmissionResult Refused(GatewayError error) => new(false, error);
}
