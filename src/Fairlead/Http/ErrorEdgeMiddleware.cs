using Fairlead.Errors;
using Fairlead.Pipeline;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Http;

/// <summary>
/// Middleware around Fairlead's own paths: every response has a request id, and an exception that no endpoint caught becomes an error of
/// the catalogue. Other paths of an embedding app are untouched. Runs first; for an app under a path (<c>UsePathBase</c>) again after that,
/// where the path is known.
/// </summary>
internal sealed class ErrorEdgeMiddleware(TimeProvider time, ILogger<ErrorEdgeMiddleware> logger) : IMiddleware, IStartupFilter
{
    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.Use((HttpContext context, RequestDelegate rest) => InvokeAsync(context, rest));
        next(app);
    };

    /// <summary>
    /// The same for requests under a path that the app chose. Runs after <c>UsePathBase</c>, which hides that path from earlier middleware.
    /// </summary>
    internal void UseUnderPathBase(IApplicationBuilder app) =>
        app.Use((HttpContext context, RequestDelegate rest) => context.Request.PathBase.HasValue ? InvokeAsync(context, rest)
        : rest(context));

    public Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        if (!IsGatewayPath(context.Request.Path)) return HintAsync(context, next);
        RequestIds.Of(context, time);
        return GuardAsync(context, next);
    }

    // Case-insensitive, as in routing.
    internal static bool IsGatewayPath(PathString path) =>
        path.Value is { } value
            && (value.StartsWith("/v1/", StringComparison.OrdinalIgnoreCase)
            || value.StartsWith("/v2/", StringComparison.OrdinalIgnoreCase)
            || value.StartsWith("/admin/", StringComparison.OrdinalIgnoreCase));

    /// <summary>The error format that clients of a path expect.</summary>
    internal static ErrorShape ShapeOf(HttpRequest request) => ShapeOf(request.Path.Value ?? "", request.Headers);

    internal static ErrorShape ShapeOf(string path, IHeaderDictionary headers)
    {
        if (path.StartsWith("/v1/messages", StringComparison.OrdinalIgnoreCase)) return ErrorShape.Anthropic;
        if (path.StartsWith("/v1/models", StringComparison.OrdinalIgnoreCase) && headers.ContainsKey("anthropic-version"))
            return ErrorShape.Anthropic;
        return path.StartsWith("/v1", StringComparison.OrdinalIgnoreCase) ? ErrorShape.OpenAi : ErrorShape.Problem;
    }

    // If nothing in the app matched the address, it may be one of Fairlead's with a wrong prefix, such as /chat/completions.
    private async Task HintAsync(HttpContext context, RequestDelegate next)
    {
        await next(context);
        if (context.Response is { StatusCode: StatusCodes.Status404NotFound, HasStarted: false } && context.GetEndpoint() is null)
            await UnknownAddressEndpoint.TryServeMistypedAsync(context, time);
    }

    private async Task GuardAsync(HttpContext context, RequestDelegate next)
    {
        try
        {
            await next(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client disconnected, so no response is written.
        }
        catch (Exception exception)
        {
            var requestId = RequestIds.Of(context);
            if (exception is BadHttpRequestException bad)
            {
                if (context.Response.HasStarted) throw;
                await ErrorResponses.WriteAsync(context, RequestReader.BrokenBody(bad), ShapeOf(context.Request));
                return;
            }
            CallLog.Unexpected(logger, requestId, exception);
            if (context.Response.HasStarted)
            {
                context.Abort();
                return;
            }
            context.Response.Clear();
            context.Response.Headers["x-request-id"] = requestId;
            await ErrorResponses.WriteAsync(context,
                new GatewayError(ErrorCode.InternalError, "An internal error occurred. The operator can find it by the request id."),
                ShapeOf(context.Request));
        }
    }
}
