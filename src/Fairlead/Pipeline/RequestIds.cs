using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Pipeline;

/// <summary>The id of an HTTP request: made once, in every answer's <c>x-request-id</c> (and Anthropic's <c>request-id</c>).</summary>
internal static class RequestIds
{
    private static readonly object Key = new();

    public static string Of(HttpContext context)
    {
        if (context.Items.TryGetValue(Key, out var known)) return (string)known!;
        var id = Ids.New("req_", context.RequestServices.GetService<TimeProvider>() ?? TimeProvider.System);
        context.Items[Key] = id;
        context.Response.Headers["x-request-id"] = id;
        return id;
    }
}
