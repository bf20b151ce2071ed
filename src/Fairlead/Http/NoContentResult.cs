using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Http;

/// <summary>204 without a body.</summary>
internal sealed class NoContentResult : EndpointResult
{
    protected override Task WriteResponseAsync(HttpContext context, ErrorShape shape)
    {
        context.Response.StatusCode = StatusCodes.Status204NoContent;
        return Task.CompletedTask;
    }
}
