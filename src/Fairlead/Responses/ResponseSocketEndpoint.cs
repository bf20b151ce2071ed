using System.Globalization;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Delivery;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Responses;

/// <summary>The WebSocket transport at <c>GET /v1/responses</c>.</summary>
internal sealed class ResponseSocketEndpoint(ICallerSource callers, GatewayEndpoint endpoint, DialectRegistry dialects, IConfigurationSource configuration, DrainState drain, MemoryBudget memory, IHostApplicationLifetime lifetime, TimeProvider time, ILogger<ResponseSocketEndpoint> logger) : IStartupFilter
{
    /// <summary>Address of the endpoint, and of the dialect that it serves.</summary>
    public const string Path = "/v1/responses";

    // What stands in a message beside the request's own members.
    private const int Overhead = 1024;

    private static readonly WebSocketOptions Options = new() { KeepAliveInterval = TimeSpan.FromSeconds(15), KeepAliveTimeout = TimeSpan.FromSeconds(30) };

    private readonly OpenSockets _open = new();

    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.UseWhen(context => context.Request.Path.Equals(Path, StringComparison.Ordinal), branch => branch.UseWebSockets(Options));
        next(app);
    };

    public async Task ServeAsync(HttpContext context)
    {
        var bounds = configuration.Current.Requests;
        var refusal = Refusal(context, out var keyId);
        var isCounted = false;
        try
        {
            if (refusal is null && !(isCounted = _open.TryEnter(keyId, bounds.MaxSocketsPerKey)))
            {
                refusal = new GatewayError(ErrorCode.RateLimitExceeded, string.Create(CultureInfo.InvariantCulture, $"This key has {bounds.MaxSocketsPerKey:N0} WebSockets open, which is as many as it may have on this server."))
                {
                    RetryAfter = TimeSpan.FromSeconds(5),
                    Remedy = "Close a connection that is no longer used, or send several requests one after another on one connection.",
                };
            }
            if (refusal is not null)
            {
                await ErrorResponses.WriteAsync(context, refusal, ErrorShape.OpenAi);
                return;
            }
            using var socket = await context.WebSockets.AcceptWebSocketAsync();
            var limits = new SocketLimits((int)bounds.MaxBodyBytes + Overhead, bounds.MaxSocketMessageTime);
            using var connection = new ResponseSocket(context, socket, turn => endpoint.HandleAsync(turn, dialects.At(Path)), limits, memory.ShareOf(keyId), drain, time, logger);
            await connection.RunAsync(lifetime.ApplicationStopping);
        }
        finally
        {
            if (isCounted) _open.Leave(keyId);
        }
    }

    private GatewayError? Refusal(HttpContext context, out string keyId)
    {
        keyId = "";
        if (!context.WebSockets.IsWebSocketRequest) return new GatewayError(ErrorCode.MethodNotAllowed, "/v1/responses takes POST, and GET for a WebSocket only.") { Allow = "POST" };
        if (drain.IsDraining) return new GatewayError(ErrorCode.ShuttingDown, "The server is shutting down and takes no new calls.") { RetryAfter = TimeSpan.FromSeconds(1) };
        // Every message is asked for its key again: one that is revoked does not live on in a connection.
        var authentication = callers.Authenticate(context, dialects.At(Path).Scope);
        keyId = authentication.Caller?.KeyId ?? "";
        return authentication.Error;
    }
}
