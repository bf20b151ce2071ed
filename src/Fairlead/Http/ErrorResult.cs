using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Http;

/// <summary>An error, in the format that the client expects.</summary>
internal sealed class ErrorResult(GatewayError error) : EndpointResult
{
    protected override Task WriteResponseAsync(HttpContext context, ErrorShape shape) => ErrorResponses.WriteAsync(context, error, shape);
}
