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
internal sealed class ResponseSocketEndpoint(
    ICallerSource callers,
    GatewayEndpoint endpoint,
    DialectRegistry dialects,
    IConfigurationSource configuration,
    DrainState drain,
    MemoryBudget memory,
    IHostApplicationLifetime lifetime,
    TimeProvider time,
    ILogger<ResponseSocketEndpoint> logger) : IStartupFilter
{
    /// <summary>The address of the endpoint and of the dialect that it serves.</summary>
    public const string Path = "/v1/responses";

    // Bytes of a message in addition to the request.
    private const int MessageOverhead = 1024;

    private static readonly WebSocketOptions Options = new()
    {
        KeepAliveInterval = TimeSpan.FromSeconds(15),
        KeepAliveTimeout = TimeSpan.FromSeconds(30),
    };

    private readonly OpenSockets _open = new();

    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.UseWhen(context => context.Request.Path.Equals(Path, StringComparison.Ordinal), branch => branch.UseWebSockets(Options));
        next(app);
    };

    public async Task ServeAsync(HttpContext context)
    {
        var bounds = configuration.Current.Requests;
        var (refusal, keyId) = await RefusalAsync(context);
        var isCounted = false;
        try
        {
            if (refusal is null && !(isCounted = _open.TryEnter(keyId, bounds.MaxSocketsPerKey)))
            {
                var message = string.Create(
                    CultureInfo.InvariantCulture,
                    $"This key has {bounds.MaxSocketsPerKey:N0} open WebSockets, which is the maximum on this server.");
                refusal = new GatewayError(ErrorCode.RateLimitExceeded, message)
                {
                    RetryAfter = TimeSpan.FromSeconds(5),
                    Remedy = "Close an unused connection, or send several requests one after another on one connection.",
                };
            }
            if (refusal is not null)
            {
                await ErrorResponses.WriteAsync(context, refusal, ErrorShape.OpenAi);
                return;
            }
            using var socket = await context.WebSockets.AcceptWebSocketAsync();
            var limits = new SocketLimits((int)bounds.MaxBodyBytes + MessageOverhead, bounds.MaxSocketMessageTime);
            var share = memory.ShareOf(keyId);
            using var connection = new ResponseSocket(
                context, socket, turn => endpoint.HandleAsync(turn, dialects.At(Path)), limits, share, drain, time, logger);
            await connection.RunAsync(lifetime.ApplicationStopping);
        }
        finally
        {
            if (isCounted) _open.Leave(keyId);
        }
    }

    private async ValueTask<(GatewayError? Error, string KeyId)> RefusalAsync(HttpContext context)
    {
        if (!context.WebSockets.IsWebSocketRequest)
        {
            return (new GatewayError(ErrorCode.MethodNotAllowed, "/v1/responses accepts POST, and GET only for a WebSocket.")
            {
                Allow = "POST",
            }, "");
        }
        if (drain.IsDraining)
        {
            return (new GatewayError(ErrorCode.ShuttingDown, "The server is shutting down and accepts no new calls.")
            {
                RetryAfter = TimeSpan.FromSeconds(1),
            }, "");
        }
        // The key is checked again for each message: a revoked key does not live on in an open connection.
        var authentication = await callers.AuthenticateAsync(context, dialects.At(Path).Scope);
        return (authentication.Error, authentication.Caller?.KeyId ?? "");
    }
}
