using System.Globalization;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Http;

/// <summary>Writes an error as the HTTP response.</summary>
internal static class ErrorResponses
{
    /// <summary>
    /// The longest wait that the header states. A longer wait is in the body only: some clients sleep for whatever the header says.
    /// </summary>
    public static readonly TimeSpan MaxRetryAfter = TimeSpan.FromSeconds(60);

    /// <summary>Writes status, headers, body and the request id. The response must not have started.</summary>
    public static async Task WriteAsync(HttpContext context, GatewayError error, ErrorShape shape)
    {
        error = ErrorBodyWriter.ForEndpoint(error, context.Request.Path.Value ?? "");
        var requestId = RequestIds.Of(context);
        WriteHead(context.Response, error, shape);
        if (shape == ErrorShape.Anthropic) context.Response.Headers["request-id"] = requestId;
        ErrorBodyWriter.WriteBody(context.Response.BodyWriter, error, shape, requestId, context.GetPublicAddress());
        await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
    }

    /// <summary>Sets status and headers.</summary>
    public static void WriteHead(HttpResponse response, GatewayError error, ErrorShape shape)
    {
        response.StatusCode = ErrorBodyWriter.StatusOf(error, shape);
        WriteHeaders(response.Headers, error, shape);
    }

    /// <summary>Sets the headers that belong to an error.</summary>
    public static void WriteHeaders(IHeaderDictionary headers, GatewayError error, ErrorShape shape)
    {
        var status = ErrorBodyWriter.StatusOf(error, shape);
        headers.ContentType = ErrorBodyWriter.ContentTypeOf(shape);
        headers.CacheControl = "no-store";
        if (status == StatusCodes.Status401Unauthorized) headers.WWWAuthenticate = "Bearer realm=\"fairlead\"";
        if (error.Allow is { } allow) headers.Allow = allow;
        var canRetrySoon = error.IsRetryable && !(error.RetryAfter > MaxRetryAfter);
        if (!canRetrySoon)
        {
            // Clients retry within a minute, which cannot help.
            if (IsRetriedByClients(status)) headers["x-should-retry"] = "false";
        }
        else if (error.RetryAfter is { } wait)
        {
            var ms = Math.Max(1, (long)Math.Ceiling(wait.TotalMilliseconds));
            headers.RetryAfter = ((ms + 999) / 1000).ToString(CultureInfo.InvariantCulture);
            headers["retry-after-ms"] = ms.ToString(CultureInfo.InvariantCulture);
        }
    }

    private static bool IsRetriedByClients(int status) => status is 408 or 409 or 429 or >= 500;
}
