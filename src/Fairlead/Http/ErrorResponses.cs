using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Http;

/// <summary>Writes an error as the HTTP response.</summary>
internal static class ErrorResponses
{
    /// <summary>Writes status, headers, body and the request id. The response must not have started.</summary>
    public static async Task WriteAsync(HttpContext context, GatewayError error, ErrorShape shape)
    {
        error = ErrorBodyWriter.ForEndpoint(error, context.Request.Path.Value ?? "");
        var requestId = RequestIds.Of(context);
        ErrorBodyWriter.WriteHead(context.Response, error, shape);
        if (shape == ErrorShape.Anthropic) context.Response.Headers["request-id"] = requestId;
        ErrorBodyWriter.WriteBody(context.Response.BodyWriter, error, shape, requestId, PublicAddress.Of(context));
        await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
    }
}
