using Fairlead.Conversation;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Http;

/// <summary>The id of an HTTP request: made once, in every answer's <c>x-request-id</c> (and Anthropic's <c>request-id</c>).</summary>
internal static class RequestIds
{
    private const string Header = "x-request-id";

    /// <summary>The id, which the answer's header holds from the first question on.</summary>
    public static string Of(HttpContext context) =>
        Known(context) ?? Make(context, context.RequestServices.GetService<TimeProvider>() ?? TimeProvider.System);

    /// <summary>The same for who knows the clock: asking the request for its services would make a scope for them.</summary>
    public static string Of(HttpContext context, TimeProvider time) => Known(context) ?? Make(context, time);

    /// <summary>The caller's own id of the request (<c>X-Client-Request-Id</c>), when there is one that may stand in a log: 1 to 512 printable ASCII characters.</summary>
    public static string? OfCaller(HttpRequest request)
    {
        if (!request.Headers.TryGetValue("X-Client-Request-Id", out var given) || given.Count != 1) return null;
        return given[0] is { Length: >= 1 and <= 512 } id && !id.AsSpan().ContainsAnyExceptInRange(' ', '~') ? id : null;
    }

    /// <summary>
    /// Whether <paramref name="requestId"/> was made here, for this request alone: an app around the gateway may have put another one into the answer's
    /// header, such as one that its client chose, and nothing that must be unique may follow from that.
    /// </summary>
    public static bool IsOurs(HttpContext context, string requestId) => ReferenceEquals(context.TraceIdentifier, requestId);

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
