using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Idempotency;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Responses;
using Fairlead.Streaming;
using Fairlead.Telemetry;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Delivery;

/// <summary>Makes a call of an HTTP request. Thread-safe.</summary>
internal sealed class CallReader(IConfigurationSource configuration, MemoryBudget memory, TimeProvider time)
{
    /// <summary>The call of an authenticated request. Its body is not read yet.</summary>
    public GatewayCall Create(HttpContext context, Dialect dialect, Caller caller, string requestId)
    {
        var generationId = RequestIds.IsGenerated(context, requestId) ? Ids.Sibling("gen_", requestId) : Ids.New("gen_", time);
        return new GatewayCall(requestId, generationId, dialect, caller, time)
        {
            Memory = memory.ShareOf(caller.KeyId),
            Address = context.Connection.RemoteIpAddress,
            Endpoint = context.Request.Path.Value ?? "",
            Site = PublicAddress.Of(context.Request, configuration.Current.PublicUrl),
        };
    }

    /// <summary>
    /// Reads the request into its call: 1. check the headers that describe the body, 2. read the body once, 3. read the headers that
    /// belong to the call, 4. let the dialect read the body, 5. load stored data that the request refers to.
    /// </summary>
    /// <returns>The first error, or null.</returns>
    /// <exception cref="GatewayErrorException">There is no memory for the body. The call has an empty one.</exception>
    public async ValueTask<GatewayError?> ReadAsync(HttpContext context, GatewayCall call)
    {
        var limits = configuration.Current.Requests;
        call.Body = CreateBody(context.Request.ContentLength, call.Memory);

        return RequestReader.CheckHeaders(context.Request, limits) // 1.
            ?? await RequestReader.ReadAsync(context, call.Body, limits) // 2.
            ?? ReadHeaders(context, call) // 3.
            ?? ReadBody(context, call, limits) // 4.
            ?? await call.Dialect.Requests.ResolveAsync(call, limits, context.RequestAborted); // 5.
    }

    private static GatewayError? ReadHeaders(HttpContext context, GatewayCall call)
    {
        var headers = context.Request.Headers;
        if (call.Dialect.ErrorShape == ErrorShape.Anthropic)
        {
            if (headers.TryGetValue("anthropic-version", out var version)) call.AnthropicVersion = version.ToString();
            if (headers.TryGetValue("anthropic-beta", out var beta)) call.AnthropicBeta = beta.ToString();
        }
        if (call.Dialect.HasSessions) call.Session = context.Features.Get<ResponseSession>();
        call.IncomingTrace = IncomingTrace.Of(headers);
        if (headers.TryGetValue("Fairlead-Simulate", out var simulate)) call.Simulate = simulate.ToString();
        if (call.Operation == Operation.CountTokens) return null;

        var (key, wrong) = IdempotencyHeader.Read(headers);
        if (wrong is null) call.IdempotencyKey = key;
        return wrong;
    }

    private static GatewayError? ReadBody(HttpContext context, GatewayCall call, RequestBounds limits)
    {
        var since = call.Timings.Now();
        var error = call.Dialect.Requests.Read(call, limits) ?? ExtensionHeaders.Read(context.Request.Headers, call);
        call.Timings.Add(Phase.Validate, since);
        if (call.Caller.SecretRetiresAt is { } retires)
        {
            call.Warn("key_rotated", $"This secret of the key was replaced and stops working at {retires:yyyy-MM-dd'T'HH:mm:ss'Z'}.");
        }
        return error;
    }

    // Most chat bodies fit. A larger claimed length is not trusted, since the bytes may never come.
    private static PooledBuffer CreateBody(long? contentLength, MemoryBudget? memory) =>
        new((int)Math.Clamp(contentLength ?? 4096, 256, 256 * 1024), memory);
}
