using System.Text.Json;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Http;

/// <summary>A JSON object that is written straight into the response, so that it is in memory once.</summary>
internal sealed class LargeJsonResult(Action<Utf8JsonWriter> write) : EndpointResult
{
    protected override async Task WriteResponseAsync(HttpContext context, ErrorShape shape)
    {
        var response = context.Response;
        response.ContentType = "application/json";
        response.Headers.CacheControl = "no-store";
        await using (var json = new Utf8JsonWriter(response.BodyWriter, ErrorBodyWriter.WriterOptions)) write(json);
        await response.BodyWriter.FlushAsync(context.RequestAborted);
    }
}
