using Fairlead.Authentication;
using Fairlead.Configuration;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Responses;

/// <summary>The WebSocket transport at <c>GET /v1/responses</c> (CONTRACTS 2.7).</summary>
internal sealed class ResponseSocketEndpoint(ICallerSource callers, GatewayEndpoint endpoint, ResponsesDialect dialect, IConfigurationSource configuration, DrainState drain, IHostApplicationLifetime lifetime, TimeProvider time) : IStartupFilter
{
    // What stands in a message beside the request's own members.
    private const int Overhead = 1024;

    private static readonly WebSocketOptions Options = new() { KeepAliveInterval = TimeSpan.FromSeconds(15), KeepAliveTimeout = TimeSpan.FromSeconds(30) };

    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.UseWhen(context => context.Request.Path.Equals("/v1/responses", StringComparison.Ordinal), branch => branch.UseWebSockets(Options));
        next(app);
    };

    public async Task ServeAsync(HttpContext context)
    {
        if (Refusal(context) is { } refusal)
        {
            await ErrorResponses.WriteAsync(context, refusal, ErrorShape.OpenAi);
            return;
        }
        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        var bounds = configuration.Current.Requests;
        using var connection = new ResponseSocket(context, socket, turn => endpoint.HandleAsync(turn, dialect), (int)bounds.MaxBodyBytes + Overhead, time);
        await connection.RunAsync(lifetime.ApplicationStopping);
    }

    private GatewayError? Refusal(HttpContext context)
    {
        if (!context.WebSockets.IsWebSocketRequest) return new GatewayError(ErrorCode.MethodNotAllowed, "/v1/responses takes POST, and GET for a WebSocket only.") { Allow = "POST" };
        if (drain.IsDraining) return new GatewayError(ErrorCode.ShuttingDown, "The server is shutting down and takes no new calls.") { RetryAfter = TimeSpan.FromSeconds(1) };
        // Every message is asked for its key again: one that is revoked does not live on in a connection.
        return callers.Authenticate(context, dialect.Scope).Error;
    }
}
