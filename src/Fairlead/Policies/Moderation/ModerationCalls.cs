using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Routing;
using Fairlead.Storage;
using Fairlead.Streaming;
using Fairlead.Telemetry;
using Fairlead.TokenCounting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Policies.Moderation;

/// <summary>
/// Makes moderation requests calls like all others: limits count them, routing sends them, and each leaves an audit record and its usage.
/// Thread-safe.
/// </summary>
internal sealed class ModerationCalls(
    IEnumerable<IGatewayStage> stages, CallEnder ender, GatewayTelemetry telemetry, DrainState drain, TimeProvider time,
    ILogger<ModerationCalls> logger)
{
    private readonly CatalogueStage _catalogue = stages.OfType<CatalogueStage>().Single();
    private readonly LimitsStage _limits = stages.OfType<LimitsStage>().Single();
    private readonly RoutingStage _routing = stages.OfType<RoutingStage>().Single();

    /// <summary>What rules cost and are limited by: nothing of their own.</summary>
    private static readonly CatalogueModel Rules = new() { Id = RuleModeration.Model, OwnedBy = "fairlead" };

    /// <summary>Makes a call, and ends it with what <paramref name="answer"/> returns or throws, before the response is written.</summary>
    public async Task<EndpointResult> RunAsync(EndpointRequest request, Func<GatewayCall, Task<EndpointResult>> answer)
    {
        if (drain.IsDraining)
        {
            var (_, stopping) = CallOutcome.Of(CancellationReason.Shutdown);
            return ((EndpointResult)stopping).WithHeader("Connection", "close");
        }
        // Until the response is written.
        drain.Enter();
        request.DisposeAfterResponse(new Leaving(drain));
        // Nothing reads the bytes of the request again.
        using var body = new PooledBuffer(16);
        var call = new GatewayCall(request.RequestId, Ids.New("gen_", time), ModerationDialect.Dialect, request.Caller, time)
        {
            Body = body,
            Address = request.RemoteAddress,
            Endpoint = ModerationDialect.Path,
            Site = request.Site,
            Class = request.Caller.DefaultClass,
        };
        using var cancellation = new CallCancellation(null, time, request.Cancellation, drain.LimitReached);
        call.Cancellation = cancellation;
        telemetry.CallStarted(call);
        // 499 is only in the record: no client reads a status.
        var (outcome, status) = (Outcome.Cancelled, 499);
        GatewayError? error = null;
        EndpointResult result;
        try
        {
            result = await answer(call);
            (outcome, status) = (Outcome.Complete, StatusCodes.Status200OK);
        }
        catch (Exception exception) when (!request.Cancellation.IsCancellationRequested)
        {
            (outcome, error) = EndOf(call, exception);
            status = ErrorBodyWriter.StatusOf(error, request.Shape);
            result = error;
        }
        finally
        {
            await ender.EndAsync(call, outcome, error, status);
            telemetry.CallEnded(call, status);
        }
        return WithHeaders(result, call, error);
    }

    /// <summary>How a call ended whose client still waits, and what that client is told.</summary>
    private (Outcome Outcome, GatewayError Error) EndOf(GatewayCall call, Exception exception)
    {
        switch (exception)
        {
            case GatewayErrorException refused:
                return (Outcome.Failed, refused.Error);

            case OperationCanceledException when call.Cancellation.Reason is not (CancellationReason.None or CancellationReason.ClientLeft):
                return CallOutcome.Of(call.Cancellation.Reason);

            case BadHttpRequestException or IOException when call.Attempts.Count == 0:
                return (Outcome.Failed, RequestReader.BrokenBody(exception));

            case var _ when StorageErrors.IsStoreError(exception):
                EndpointLog.StoreFailed(logger, StorageErrors.Describe(exception));
                return (Outcome.Failed, new GatewayError(ErrorCode.StoreUnavailable, "The store could not be reached.")
                {
                    RetryAfter = TimeSpan.FromSeconds(1),
                });

            default:
                CallLog.Unexpected(logger, call.RequestId, exception);
                return (Outcome.Failed, new GatewayError(
                    ErrorCode.InternalError, "An internal error occurred. The operator can find it by the request id."));
        }
    }

    /// <summary>Notes the request, once it is read.</summary>
    public static void Note(GatewayCall call, ModerationInput input)
    {
        ModerationDialect.Note(call, input);
        call.MaxInputTokens = TokenCounter.Bound(call);
        call.InputEstimate = TokenCounter.Guess(call.Facts);
    }

    /// <summary>Finds the model that the request names.</summary>
    /// <exception cref="GatewayErrorException">The caller may not use it.</exception>
    public Task FindModelAsync(GatewayCall call) => PassAsync(_catalogue, call);

    /// <summary>Takes what the call needs of the limits of its caller. Without a model, rules answer it.</summary>
    /// <exception cref="GatewayErrorException">A limit is reached.</exception>
    public Task ReserveAsync(GatewayCall call)
    {
        // Not null by its type, but before the catalogue has set it.
        if ((CatalogueModel?)call.Model is null) call.Model = Rules;
        return PassAsync(_limits, call);
    }

    /// <summary>Sends it to the deployments of its model.</summary>
    /// <exception cref="GatewayErrorException">None has answered.</exception>
    public async Task<PooledBuffer> SendAsync(GatewayCall call, ModerationSender sender)
    {
        call.Sender = sender;
        var reply = await _routing.InvokeAsync(call, Admitted, call.Cancellation.Token);
        if (reply is GatewayReply.Refused refused) throw new GatewayErrorException(refused.Error);
        using var native = ((GatewayReply.NativeBody)reply).Body;
        var output = new PooledBuffer(native.Length + 128);
        call.Dialect.Responses.Write(call, reply, output);
        return output;
    }

    private static async Task PassAsync(IGatewayStage stage, GatewayCall call)
    {
        if (await stage.InvokeAsync(call, Admitted, call.Cancellation.Token) is GatewayReply.Refused refused)
            throw new GatewayErrorException(refused.Error);
    }

    private static ValueTask<GatewayReply> Admitted(GatewayCall call, CancellationToken cancellationToken) =>
        new(GatewayReply.Admitted.Instance);

    private static EndpointResult WithHeaders(EndpointResult result, GatewayCall call, GatewayError? error)
    {
        var headers = new HeaderDictionary { ["Fairlead-Generation"] = call.GenerationId };
        if (error is not null) ErrorResponses.WriteHeaders(headers, error, call.Dialect.ErrorShape);
        LimitHeaders.Write(headers, call, error);
        foreach (var (name, value) in headers) result = result.WithHeader(name, value.ToString());
        return result;
    }

    private sealed class Leaving(DrainState drain) : IDisposable
    {
        public void Dispose() => drain.Leave();
    }
}
