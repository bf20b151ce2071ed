using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Pipeline;

/// <summary>The id of an HTTP request: made once, in every answer's <c>x-request-id</c> (and Anthropic's <c>request-id</c>).</summary>
internal static class RequestIds
{
    private const string Header = "x-request-id";

    /// <summary>The id, which the answer's header holds from the first question on.</summary>
    public static string Of(HttpContext context) =>
        Known(context) ?? Make(context, context.RequestServices.GetService<TimeProvider>() ?? TimeProvider.System);

    /// <summary>The same for who knows the clock: asking the request for its services would make a scope for them.</summary>
    public static string Of(HttpContext context, TimeProvider time) => Known(context) ?? Make(context, time);

    private static string? Known(HttpContext context) =>
        context.Response.Headers.TryGetValue(Header, out var known) && known.Count == 1 ? known[0] : null;

    private static string Make(HttpContext context, TimeProvider time)
    {
        var id = Ids.New("req_", time);
        context.Response.Headers[Header] = id;
        return id;
    }
}
