using System.Text.Json;
using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;

namespace Fairlead.Http;

/// <summary>A request whose caller has the scope of the endpoint. For one thread.</summary>
internal sealed class EndpointRequest(HttpContext context, Caller caller, ErrorShape shape) : IDisposable
{
    private List<IDisposable>? _owned;

    public Caller Caller { get; } = caller;

    /// <summary>The format of errors that the client expects.</summary>
    public ErrorShape Shape { get; } = shape;

    /// <summary>Cancelled when the client disconnects.</summary>
    public CancellationToken Cancellation => context.RequestAborted;

    /// <summary>The <c>{id}</c> of the path; empty if it has none.</summary>
    public string Id => context.GetRouteValue("id") as string ?? "";

    /// <summary>Another value of the path; empty if it has none.</summary>
    public string RouteValue(string name) => context.GetRouteValue(name) as string ?? "";

    /// <summary>The id that the response has as <c>x-request-id</c>.</summary>
    public string RequestId => RequestIds.Of(context);

    /// <summary>Who acts, for the audit.</summary>
    public AdminActor Actor => AdminActor.Of(Caller, context.Connection.RemoteIpAddress, RequestId);

    /// <summary>Address of the client; null if the transport has none.</summary>
    public System.Net.IPAddress? RemoteAddress => context.Connection.RemoteIpAddress;

    public IQueryCollection Query => context.Request.Query;

    public IHeaderDictionary Headers => context.Request.Headers;

    public string? ContentType => context.Request.ContentType;

    /// <summary>Bytes of the body; null if the client did not declare them.</summary>
    public long? ContentLength => context.Request.ContentLength;

    /// <summary>The body, unread.</summary>
    public Stream Body => context.Request.Body;

    /// <summary>The address of this server, for links in the response.</summary>
    public PublicAddress Site => context.GetPublicAddress();

    /// <summary>The body as one JSON object; the caller disposes the document.</summary>
    /// <exception cref="GatewayErrorException">The body is missing, too large, of another type or not a JSON object.</exception>
    public Task<JsonDocument> ReadJsonAsync() => JsonBody.ReadAsync(context.Request, isOptional: false, Cancellation);

    /// <summary>As <see cref="ReadJsonAsync"/>, but a missing body is an empty object.</summary>
    public Task<JsonDocument> ReadOptionalJsonAsync() => JsonBody.ReadAsync(context.Request, isOptional: true, Cancellation);

    /// <summary>Reads the whole body into <paramref name="buffer"/>, if it is declared as JSON and within the limits.</summary>
    /// <returns>Why it cannot be read, or null.</returns>
    public async ValueTask<GatewayError?> ReadAsync(PooledBuffer buffer, RequestBounds bounds) =>
        RequestReader.CheckHeaders(context.Request, bounds) ?? await RequestReader.ReadAsync(context, buffer, bounds);

    /// <summary>Why the body cannot be read with its content encoding; null if it has none.</summary>
    public GatewayError? CheckEncoding() => RequestReader.CheckEncoding(context.Request);

    /// <summary>Lifts the web server's own limit of the body. The endpoint enforces one, so that the error has a body.</summary>
    public void LiftBodyLimit()
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size) size.MaxRequestBodySize = null;
    }

    /// <summary>Disposes <paramref name="resource"/> after the response was written, or after the request failed.</summary>
    public T DisposeAfterResponse<T>(T resource)
        where T : IDisposable
    {
        (_owned ??= []).Add(resource);
        return resource;
    }

    public void Dispose()
    {
        if (_owned is not null)
        {
            for (var i = _owned.Count - 1; i >= 0; i--) _owned[i].Dispose();
        }
        _owned = null;
    }
}
