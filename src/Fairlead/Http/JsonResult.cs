using System.Buffers;
using System.Text.Json;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Http;

/// <summary>A JSON object of a known length.</summary>
internal sealed class JsonResult(Action<Utf8JsonWriter> write, int status) : EndpointResult
{
    protected override async Task WriteResponseAsync(HttpContext context, ErrorShape shape)
    {
        var body = new ArrayBufferWriter<byte>(1024);
        await using (var json = new Utf8JsonWriter(body, ErrorBodyWriter.WriterOptions)) write(json);
        var response = context.Response;
        response.StatusCode = status;
        response.ContentType = "application/json";
        response.ContentLength = body.WrittenCount;
        // Some responses contain a secret, so none may be cached.
        response.Headers.CacheControl = "no-store";
        await response.BodyWriter.WriteAsync(body.WrittenMemory, context.RequestAborted);
    }
}
