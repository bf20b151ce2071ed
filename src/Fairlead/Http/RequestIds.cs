using Fairlead.Conversation;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Http;

/// <summary>
/// The id of an HTTP request: created once, sent in every response as <c>x-request-id</c> (and Anthropic's <c>request-id</c>).
/// </summary>
internal static class RequestIds
{
    private const string Header = "x-request-id";

    /// <summary>The id. The response has its header from the first call on.</summary>
    public static string Of(HttpContext context) =>
        Known(context) ?? Make(context, context.RequestServices.GetService<TimeProvider>() ?? TimeProvider.System);

    /// <summary>The same with a given clock: resolving it from the request's services would create a scope.</summary>
    public static string Of(HttpContext context, TimeProvider time) => Known(context) ?? Make(context, time);

    /// <summary>
    /// The client's own id of the request (<c>X-Client-Request-Id</c>), if it is safe to log: 1 to 512 printable ASCII characters.
    /// </summary>
    public static string? OfClient(IHeaderDictionary headers)
    {
        if (!headers.TryGetValue("X-Client-Request-Id", out var given) || given.Count != 1) return null;
        return given[0] is { Length: >= 1 and <= 512 } id && !id.AsSpan().ContainsAnyExceptInRange(' ', '~') ? id : null;
    }

    /// <summary>
    /// Whether <paramref name="requestId"/> was created here for this request. An app around the gateway may have set another id in the
    /// response header, such as one that its client chose, and unique names must not be derived from that.
    /// </summary>
    public static bool IsGenerated(HttpContext context, string requestId) => ReferenceEquals(context.TraceIdentifier, requestId);

    private static string? Known(HttpContext context) =>
        context.Response.Headers.TryGetValue(Header, out var known) && known.Count == 1 ? known[0] : null;

    private static string Make(HttpContext context, TimeProvider time)
    {
        var id = Ids.New("req_", time);
        context.Response.Headers[Header] = id;
        context.TraceIdentifier = id;
        return id;
    }
}
