using System.IO.Pipelines;
using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Http;

/// <summary>The response of an endpoint, which <see cref="EndpointInvoker"/> writes once. Not cached by any client.</summary>
internal abstract class EndpointResult
{
    private List<(string Name, string Value)>? _headers;

    /// <summary>A JSON object that is small enough to be written in memory first; has a <c>Content-Length</c>.</summary>
    public static EndpointResult Json(Action<Utf8JsonWriter> write, int status = StatusCodes.Status200OK) => new JsonResult(write, status);

    /// <summary>A JSON object that may be large: it is written into the response without another copy in memory.</summary>
    public static EndpointResult LargeJson(Action<Utf8JsonWriter> write) => new LargeJsonResult(write);

    /// <summary>201, with the path of the new resource in <c>Location</c>.</summary>
    public static EndpointResult Created(PublicAddress site, string path, Action<Utf8JsonWriter> write) =>
        Json(write, StatusCodes.Status201Created).WithHeader("Location", site.Reference(path));

    /// <summary>202, with the path of the resource that shows the progress in <c>Location</c>.</summary>
    public static EndpointResult Accepted(PublicAddress site, string path, Action<Utf8JsonWriter> write) =>
        Json(write, StatusCodes.Status202Accepted).WithHeader("Location", site.Reference(path));

    /// <summary>A body of a known type. <paramref name="write"/> is called once; the status is sent with its first flush.</summary>
    /// <param name="contentType">Type of the body.</param>
    /// <param name="length">Bytes of the body; null if they are not known.</param>
    /// <param name="write">Writes and flushes the body.</param>
    /// <param name="status">Status of the response.</param>
    public static EndpointResult Body(string contentType, long? length, Func<PipeWriter, CancellationToken, Task> write,
        int status = StatusCodes.Status200OK) => new BodyResult(contentType, length, write, status);

    /// <summary>A body that is in memory already; has a <c>Content-Length</c>.</summary>
    public static EndpointResult Bytes(string contentType, ReadOnlyMemory<byte> body, int status = StatusCodes.Status200OK) =>
        Body(contentType, body.Length, (output, cancellation) => LargeBody.WriteAsync(output, body, cancellation).AsTask(), status);

    /// <summary>204.</summary>
    public static EndpointResult NoContent() => new NoContentResult();

    public static implicit operator EndpointResult(GatewayError error) => new ErrorResult(error);

    /// <summary>Adds a header to the response, and returns this result.</summary>
    public EndpointResult WithHeader(string name, string value)
    {
        (_headers ??= []).Add((name, value));
        return this;
    }

    /// <summary>Writes the response. Called by <see cref="EndpointInvoker"/> only.</summary>
    public Task WriteAsync(HttpContext context, ErrorShape shape)
    {
        foreach (var (name, value) in _headers ?? []) context.Response.Headers[name] = value;
        return WriteResponseAsync(context, shape);
    }

    protected abstract Task WriteResponseAsync(HttpContext context, ErrorShape shape);
}
