using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Idempotency;
using Fairlead.Limits;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Telemetry;

namespace Fairlead.Delivery;

/// <summary>Makes a call of a client's request. Thread-safe.</summary>
internal sealed class CallReader(IConfigurationSource configuration, MemoryBudget memory, ILimitReader limits, TimeProvider time)
{
    /// <summary>The call of an authenticated request. Its body is not read yet.</summary>
    public GatewayCall Create(IClientRequest request, Dialect dialect, Caller caller)
    {
        var generationId = request.HasGatewayId ? Ids.Sibling("gen_", request.Id) : Ids.New("gen_", time);
        var call = new GatewayCall(request.Id, generationId, dialect, caller, time)
        {
            Memory = memory.ShareOf(caller.KeyId),
            Address = request.RemoteAddress,
            Endpoint = request.Path,
            Site = request.SiteOf(configuration.Current.PublicUrl),
        };
        // Until the call reserves, and for those that never do.
        call.Limits = new UnreservedLimits(limits, call);
        return call;
    }

    /// <summary>
    /// Reads the request into its call: 1. read the body once, 2. read the headers that belong to the call, 3. let the dialect read the
    /// body, 4. load stored data that the request refers to.
    /// </summary>
    /// <returns>The first error, or null.</returns>
    /// <exception cref="MemoryExhaustedException">There is no memory for the body; the call may have none.</exception>
    public async ValueTask<GatewayError?> ReadAsync(IClientRequest request, GatewayCall call, CancellationToken cancellationToken)
    {
        var limits = configuration.Current.Requests;
        return await request.ReadBodyAsync(call, limits) // 1.
            ?? ReadHeaders(request, call) // 2.
            ?? ReadBody(request, call, limits) // 3.
            ?? await call.Dialect.Requests.ResolveAsync(call, limits, cancellationToken); // 4.
    }

    private static GatewayError? ReadHeaders(IClientRequest request, GatewayCall call)
    {
        var headers = request.Headers;
        if (call.Dialect.ErrorShape == ErrorShape.Anthropic)
        {
            if (headers.TryGetValue("anthropic-version", out var version)) call.AnthropicVersion = version.ToString();
            if (headers.TryGetValue("anthropic-beta", out var beta)) call.AnthropicBeta = beta.ToString();
        }
        if (call.Dialect.HasSessions) call.Session = request.Session;
        call.IncomingTrace = IncomingTrace.Of(headers);
        if (headers.TryGetValue("Cache-Control", out var cacheControl)) call.CacheControl = cacheControl.ToString();
        if (headers.TryGetValue("Fairlead-Simulate", out var simulate)) call.Simulate = simulate.ToString();
        if (call.Operation == Operation.CountTokens) return null;

        var (key, wrong) = IdempotencyHeader.Read(headers);
        if (wrong is null) call.IdempotencyKey = key;
        return wrong;
    }

    private static GatewayError? ReadBody(IClientRequest request, GatewayCall call, RequestBounds limits)
    {
        var since = call.Timings.Now();
        var error = call.Dialect.Requests.Read(call, limits) ?? ExtensionHeaders.Read(request.Headers, call);
        call.Timings.Add(Phase.Validate, since);
        if (call.Caller.SecretRetiresAt is { } retires)
        {
            call.Warn("key_rotated", $"This secret of the key was replaced and stops working at {retires:yyyy-MM-dd'T'HH:mm:ss'Z'}.");
        }
        return error;
    }
}
