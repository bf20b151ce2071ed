using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Pipeline;

/// <summary>The id of an HTTP request: made once, in every answer's <c>x-request-id</c> (and Anthropic's <c>request-id</c>).</summary>
internal static class RequestIds
{
    private const string Header = "x-request-id";

    /// <summary>The id, which the answer's header holds from the first question on.</summary>
    public static string Of(HttpContext context)
    {
        var headers = context.Response.Headers;
        if (headers.TryGetValue(Header, out var known) && known.Count == 1) return known[0]!;
        var id = Ids.New("req_", context.RequestServices.GetService<TimeProvider>() ?? TimeProvider.System);
        headers[Header] = id;
        return id;
    }
}
