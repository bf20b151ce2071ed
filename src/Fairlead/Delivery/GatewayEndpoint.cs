using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Http;
using Fairlead.Idempotency;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Responses;
using Fairlead.Streaming;
using Fairlead.Telemetry;
using Fairlead.Webhooks;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Delivery;

/// <summary>
/// The edge of every generating endpoint: who calls (by headers alone), what they send (once, bounded), through the pipeline, and out by
/// the delivery that was asked for. The only place that turns a bug into an answer, and the only one that ends a call whose client left.
/// </summary>
internal sealed class GatewayEndpoint(
    ICallerSource callers,
    IConfigurationSource configuration,
    GatewayPipeline pipeline,
    StreamDelivery streams,
    JobAcceptance jobs,
    CallEnder ender,
    RefusalRecords refusals,
    IdempotencyKeys keys,
    IdempotencyReplay replay,
    DrainState drain,
    MemoryBudget memory,
    GatewayTelemetry telemetry,
    TimeProvider time,
    ILogger<GatewayEndpoint> logger)
{

    /// <summary>Serves one request in <paramref name="dialect"/>.</summary>
    public async Task HandleAsync(HttpContext context, Dialect dialect)
    {
        var requestId = RequestIds.Of(context, time);
        if (drain.IsDraining)
        {
            context.Response.Headers.Connection = "close";
            await ErrorResponses.WriteAsync(context, new GatewayError(ErrorCode.ShuttingDown, "The server is shutting down and takes no new calls.") { RetryAfter = TimeSpan.FromSeconds(1) }, dialect.ErrorShape);
            return;
        }

        // Nobody unknown gets a body read.
        var arrived = time.GetTimestamp();
        var authentication = callers.Authenticate(context, dialect.Scope);
        if (authentication.Caller is not { } caller)
        {
            // Who owns the key learns of its misuse. Of keys that nobody has, there is nothing to record, and nobody can fill the audit with them.
            var error = authentication.Error!;
            if (authentication.Refused is { } owner && refusals.TryTake(owner.KeyId, error.Code, out var suppressed))
            {
                var refused = MakeCall(context, dialect, owner, requestId);
                refused.SuppressedRefusals = suppressed;
                await ender.EndAsync(refused, Outcome.Failed, error, ErrorBodyWriter.StatusOf(error, dialect.ErrorShape));
            }
            await ErrorResponses.WriteAsync(context, error, dialect.ErrorShape);
            return;
        }

        drain.Enter();
        var call = MakeCall(context, dialect, caller, requestId);
        if (RequestIds.OfCaller(context.Request) is { } named) CallLog.NamedByTheCaller(logger, requestId, named);
        call.Timings.Add(Phase.Auth, arrived);
        PooledBuffer? body = null;
        try
        {
            call.Body = body = new PooledBuffer(BodyCapacity(context.Request.ContentLength), call.Memory);
            await ServeAsync(context, call);
        }
        catch (OperationCanceledException) when (!IsStray(context, call))
        {
            await EndCancelledAsync(context, call);
        }
        catch (GatewayErrorException refused) when (!context.Response.HasStarted)
        {
            // There was no room even for the beginning of the body.
            call.Body ??= body = new PooledBuffer(16);
            await RefuseAsync(context, call, refused.Error);
        }
        catch (Exception exception) when (exception is BadHttpRequestException or IOException && call.Attempts.Count == 0 && !context.Response.HasStarted)
        {
            // The transport broke off while the body was read.
            await RefuseAsync(context, call, RequestReader.BrokenBody(exception));
        }
        catch (Exception exception)
        {
            CallLog.Unexpected(logger, call.RequestId, exception);
            await FailAsync(context, call);
        }
        finally
        {
            try
            {
                // Every way out has ended the call; should one be missing, nothing stays held.
                if (call.HandedOver)
                {
                    // A repetition: the generation has a call of its own.
                    telemetry.CallEnded(call, context.Response.StatusCode);
                }
                else
                {
                    await ender.EndAsync(call, Outcome.Failed, null, context.Response.StatusCode);
                    telemetry.CallEnded(call, context.Response.StatusCode);
                    CallLog.Ended(logger, call.RequestId, call.Endpoint, call.Facts.Model, call.Ending!.Outcome.ToWire(), context.Response.StatusCode, call.Timings.Elapsed.TotalMilliseconds);
                }
                await keys.ConcludeAsync(call, new GatewayError(ErrorCode.InternalError, "The request of this Idempotency-Key ended without an answer."));
            }
            finally
            {
                call.Cancellation?.Dispose();
                body?.Dispose();
                drain.Leave();
            }
        }
    }

    private GatewayCall MakeCall(HttpContext context, Dialect dialect, Caller caller, string requestId) => new(requestId, RequestIds.IsOurs(context, requestId) ? Ids.Sibling("gen_", requestId) : Ids.New("gen_", time), dialect, caller, time)
    {
        Memory = memory.ShareOf(caller.KeyId),
        Address = context.Connection.RemoteIpAddress,
        Endpoint = context.Request.Path.Value ?? "",
        Site = PublicAddress.Of(context.Request, configuration.Current.PublicUrl),
    };

    /// <summary>Cancelled by nobody: the client waits and no time is over. To end it quietly would leave an empty answer that looks like success.</summary>
    private static bool IsStray(HttpContext context, GatewayCall call) =>
        call.Cancellation is { Reason: CancellationReason.None } && !context.RequestAborted.IsCancellationRequested && !context.Response.HasStarted;

    private async Task ServeAsync(HttpContext context, GatewayCall call)
    {
        var bounds = configuration.Current.Requests;
        var fault = RequestReader.CheckHeaders(context.Request, bounds)
            ?? await RequestReader.ReadAsync(context, call.Body, bounds)
            ?? ReadRequest(context, call, bounds)
            ?? await call.Dialect.Requests.ResolveAsync(call, bounds, context.RequestAborted);
        if (fault is null)
        {
            (var plan, fault) = DeliveryPlan.Of(call, context.Request.Headers);
            call.Streams = plan.Streams;
            if (fault is null && plan.OutlivesRequest)
            {
                fault = plan switch
                {
                    { Kind: DeliveryKind.KeptStream } => await jobs.ServeStreamAsync(context, call),
                    { Background: not null } => await jobs.ServeBackgroundAsync(context, call),
                    _ => await jobs.ServeAsync(context, call, plan),
                };
                if (fault is null) return;
            }
        }
        telemetry.CallStarted(call);
        if (fault is not null)
        {
            await RefuseAsync(context, call, fault);
            return;
        }

        call.Cancellation = new CallCancellation(call.Deadline, time, call.GoesOn ? CancellationToken.None : context.RequestAborted, drain.LimitReached);
        if (call.Streams)
        {
            if (await streams.DeliverAsync(context, call) is { } refusal) await RefuseAsync(context, call, refusal);
            return;
        }

        var reply = await pipeline.InvokeAsync(call, call.Cancellation.Token);
        if (reply is GatewayReply.Refused refused) await RefuseAsync(context, call, refused.Error);
        else if (!await replay.TryWriteAsync(context, call, reply)) await AnswerAsync(context, call, reply);
    }

    private static GatewayError? ReadRequest(HttpContext context, GatewayCall call, RequestBounds bounds)
    {
        var headers = context.Request.Headers;
        if (call.Dialect.ErrorShape == ErrorShape.Anthropic)
        {
            if (headers.TryGetValue("anthropic-version", out var version)) call.AnthropicVersion = version.ToString();
            if (headers.TryGetValue("anthropic-beta", out var beta)) call.AnthropicBeta = beta.ToString();
        }
        if (call.Dialect.HasSessions) call.Session = context.Features.Get<Responses.ResponseSession>();
        call.IncomingTrace = IncomingTrace.Of(headers);
        if (headers.TryGetValue("Fairlead-Simulate", out var simulate)) call.Simulate = simulate.ToString();
        if (call.Operation != Operation.CountTokens)
        {
            var (key, wrong) = IdempotencyHeader.Read(headers);
            if (wrong is not null) return wrong;
            call.IdempotencyKey = key;
        }

        var since = call.Timings.Now();
        var fault = call.Dialect.Requests.Read(call, bounds) ?? RequestReader.ReadExtensionHeaders(context.Request, call);
        call.Timings.Add(Phase.Validate, since);
        if (call.Caller.SecretRetiresAt is { } retires)
        {
            call.Warn("key_rotated", $"This secret of the key was replaced and stops working at {retires:yyyy-MM-dd'T'HH:mm:ss'Z'}.");
        }
        return fault;
    }

    private async Task AnswerAsync(HttpContext context, GatewayCall call, GatewayReply reply)
    {
        using var native = (reply as GatewayReply.NativeBody)?.Body;
        var outcome = CallOutcome.Of(call);
        await ender.EndAsync(call, outcome, null, StatusCodes.Status200OK);
        await call.Dialect.Responses.PrepareAsync(call, reply);

        using var output = new PooledBuffer((native?.Length ?? 1024) + 2048, call.Memory, neverRefused: true);
        call.Dialect.Responses.Write(call, reply, output);
        await keys.CompleteAsync(call, StatusCodes.Status200OK, "application/json", output.WrittenMemory);
        var response = context.Response;
        response.StatusCode = StatusCodes.Status200OK;
        response.ContentType = "application/json";
        response.ContentLength = output.Length;
        ReplyHeaders.Write(response, call);
        await LargeBody.WriteAsync(response.BodyWriter, output.WrittenMemory, context.RequestAborted);
    }

    private async Task RefuseAsync(HttpContext context, GatewayCall call, GatewayError error)
    {
        error = call.Dialect.Requests.WithClientParameter(call, error);
        await ender.EndAsync(call, Outcome.Failed, error, ErrorBodyWriter.StatusOf(error, call.Dialect.ErrorShape));
        await keys.ConcludeAsync(call, error);
        ReplyHeaders.Write(context.Response, call);
        await ErrorResponses.WriteAsync(context, error, call.Dialect.ErrorShape);
    }

    private async Task EndCancelledAsync(HttpContext context, GatewayCall call)
    {
        var reason = call.Cancellation?.Reason ?? CancellationReason.ClientLeft;
        var (outcome, error) = CallOutcome.Of(reason);
        if (reason is CancellationReason.None or CancellationReason.ClientLeft || context.Response.HasStarted)
        {
            // 499 stands in the record only: nobody is there to read a status.
            await ender.EndAsync(call, outcome, null, 499);
            if (context.Response.HasStarted) context.Abort();
            return;
        }
        await ender.EndAsync(call, outcome, error, ErrorBodyWriter.StatusOf(error, call.Dialect.ErrorShape));
        await keys.ConcludeAsync(call, error);
        ReplyHeaders.Write(context.Response, call);
        await ErrorResponses.WriteAsync(context, error, call.Dialect.ErrorShape);
    }

    private async Task FailAsync(HttpContext context, GatewayCall call)
    {
        var error = new GatewayError(ErrorCode.InternalError, "Something went wrong inside the gateway; the request id leads the operator to it.");
        await ender.EndAsync(call, Outcome.Failed, error, StatusCodes.Status500InternalServerError);
        if (context.Response.HasStarted)
        {
            // The client must not take what it has for the whole.
            context.Abort();
            return;
        }
        context.Response.Clear();
        context.Response.Headers["x-request-id"] = call.RequestId;
        await ErrorResponses.WriteAsync(context, error, call.Dialect.ErrorShape);
    }

    // Most chat bodies fit; a claimed length is believed only so far, since the bytes may never come.
    private static int BodyCapacity(long? contentLength) => (int)Math.Clamp(contentLength ?? 4096, 256, 256 * 1024);
}
