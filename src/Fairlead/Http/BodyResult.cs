using System.IO.Pipelines;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Http;

/// <summary>A body that its endpoint writes, such as the content of a file.</summary>
internal sealed class BodyResult(string contentType, long? length, Func<PipeWriter, CancellationToken, Task> write, int status)
    : EndpointResult
{
    protected override Task WriteResponseAsync(HttpContext context, ErrorShape shape)
    {
        var response = context.Response;
        response.StatusCode = status;
        response.ContentType = contentType;
        response.ContentLength = length;
        response.Headers.CacheControl = "no-store";
        return write(response.BodyWriter, context.RequestAborted);
    }
}
