using System.Text;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Streaming;
using Fairlead.Telemetry;
using Fairlead.TokenCounting;

namespace Fairlead.Routing.Probes;

/// <summary>
/// The call of a few tokens that probes a deployment. It is an attempt like all others, on the spool before it is sent, with a record and a
/// ledger entry; the operator pays for it. Thread-safe.
/// </summary>
internal sealed class ProbeCall(
    DialectRegistry dialects, AttemptRunner runner, CallEnder ender, GatewayTelemetry telemetry, DrainState drain, TimeProvider time)
{
    /// <summary>Some vendors refuse a smaller maximum.</summary>
    private const int MaxOutputTokens = 16;

    private const int Succeeded = 200;
    private const int Failed = 502;

    /// <summary>Makes the call. A failure is reported to the health of the deployment already.</summary>
    /// <param name="deployment">The deployment.</param>
    /// <param name="model">A model that lists it.</param>
    /// <param name="ticket">Its health.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public async Task<HealthVerdict> RunAsync(
        Deployment deployment, CatalogueModel model, HealthTicket ticket, CancellationToken cancellationToken)
    {
        using var body = new PooledBuffer();
        var call = Create(model, body);
        using var cancellation = new CallCancellation(null, time, cancellationToken, drain.LimitReached);
        call.Cancellation = cancellation;
        var timeout = deployment.Probe!.Timeout;
        var attempt = runner.Add(call, deployment with { Timeouts = AtMost(deployment.Timeouts, timeout) });
        attempt.Health = ticket;
        attempt.Reason = AttemptReasons.Probe;
        var (outcome, verdict, status) = (Outcome.Cancelled, HealthVerdict.None, Failed);
        GatewayReply.AttemptFailed? failure = null;
        try
        {
            (var reply, failure) = await runner.RunAsync(call, attempt, cancellation.Token);
            using var native = (reply as GatewayReply.NativeBody)?.Body;
            (outcome, verdict, status) = reply is not null
                ? (CallOutcome.Of(call), HealthVerdict.Works, Succeeded)
                : (Outcome.Failed, HealthVerdicts.Of(call, attempt, failure!.Error), Failed);
            return verdict;
        }
        finally
        {
            await ender.EndAsync(call, outcome, failure?.Error, status);
            telemetry.AttemptEnded(call, attempt);
        }
    }

    private GatewayCall Create(CatalogueModel model, PooledBuffer body)
    {
        var isChat = model.Kind == ModelKind.Chat;
        var dialect = dialects.At(isChat ? "/v1/chat/completions" : "/v1/embeddings");
        var name = JsonSerializer.Serialize(model.Id, ProbeJson.Default.String);
        body.Write(Encoding.UTF8.GetBytes(isChat
            ? $$"""{"model":{{name}},"max_tokens":{{MaxOutputTokens}},"messages":[{"role":"user","content":"ping"}]}"""
            : $$"""{"model":{{name}},"input":"ping"}"""));
        var call = new GatewayCall(Ids.New("req_", time), Ids.New("gen_", time), dialect, OperatorCaller.Probes, time)
        {
            Body = body,
            Endpoint = dialect.Path,
            Model = model,
        };
        if (dialect.Requests.Read(call, new RequestBounds()) is { } error)
            throw new InvalidOperationException($"The request of a probe is not valid: {error.Message}");
        call.MaxInputTokens = TokenCounter.Bound(call);
        return call;
    }

    private static ProviderTimeouts AtMost(ProviderTimeouts timeouts, TimeSpan maximum) => new()
    {
        Connect = Shorter(timeouts.Connect, maximum),
        FirstToken = Shorter(timeouts.FirstToken, maximum),
        StreamIdle = Shorter(timeouts.StreamIdle, maximum),
        Response = Shorter(timeouts.Response, maximum),
        Total = Shorter(timeouts.Total, maximum),
    };

    private static TimeSpan Shorter(TimeSpan one, TimeSpan other) => one < other ? one : other;
}
