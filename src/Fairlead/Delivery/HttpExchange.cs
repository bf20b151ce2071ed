using System.Net;
using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Responses;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Delivery;

/// <summary>An HTTP request and its response. One per request.</summary>
internal sealed class HttpExchange(HttpContext context, TimeProvider time) : IClientRequest, IClientResponse
{
    private HttpEventOutput? _events;

    public string Id { get; } = RequestIds.Of(context, time);

    public bool HasGatewayId => RequestIds.IsGenerated(context, Id);

    public string Path => context.Request.Path.Value ?? "";

    public IPAddress? RemoteAddress => context.Connection.RemoteIpAddress;

    public ResponseSession? Session => null;

    public int Status
    {
        get => context.Response.StatusCode;
        set => context.Response.StatusCode = value;
    }

    public bool HasStarted => context.Response.HasStarted;

    public CancellationToken Aborted => context.RequestAborted;

    public IEventOutput Events => _events ??= new HttpEventOutput(context.Response.BodyWriter);

    IHeaderDictionary IClientRequest.Headers => context.Request.Headers;

    IHeaderDictionary IClientResponse.Headers => context.Response.Headers;

    public PublicAddress SiteOf(string? configured) => context.Request.GetPublicAddress(configured);

    public ValueTask<AuthenticationResult> AuthenticateAsync(ICallerSource callers, string? scope) =>
        callers.AuthenticateAsync(context, scope);

    public async ValueTask<GatewayError?> ReadBodyAsync(GatewayCall call, RequestBounds limits)
    {
        call.Body = CreateBody(context.Request.ContentLength, call.Memory);
        return RequestReader.CheckHeaders(context.Request, limits) ?? await RequestReader.ReadAsync(context, call.Body, limits);
    }

    public Task StartAsync(CancellationToken cancellationToken) => context.Response.StartAsync(cancellationToken);

    public ValueTask<bool> WriteBodyAsync(ReadOnlyMemory<byte> body, CancellationToken cancellationToken) =>
        LargeBody.WriteAsync(context.Response.BodyWriter, body, cancellationToken);

    public Task WriteErrorAsync(GatewayError error, ErrorShape shape) => ErrorResponses.WriteAsync(context, error, shape);

    public void Clear()
    {
        context.Response.Clear();
        context.Response.Headers["x-request-id"] = Id;
    }

    public void Abort() => context.Abort();

    public Task AbortAfterFlushAsync() => UncleanEnd.SendAsync(context, time);

    // Most chat bodies fit. A larger claimed length is not trusted, since the bytes may never come.
    private static PooledBuffer CreateBody(long? contentLength, MemoryBudget? memory) =>
        new((int)Math.Clamp(contentLength ?? 4096, 256, 256 * 1024), memory);
}
