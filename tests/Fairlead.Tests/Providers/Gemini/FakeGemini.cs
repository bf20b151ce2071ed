using System.Text;
using Fairlead.Configuration;
using Fairlead.Providers;
using Fairlead.Providers.Gemini;
using Fairlead.Providers.Http;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Providers.Gemini;

/// <summary>A server with the Gemini API, and a provider that calls it.</summary>
internal sealed class FakeGemini : IAsyncDisposable
{
    private readonly FakeUpstream _upstream;

    private FakeGemini(FakeUpstream upstream)
    {
        _upstream = upstream;
        var config = new ProviderConfig { Kind = "gemini", BaseUrl = upstream.Url, ApiKey = "AIza-secret" };
        var clients = new UpstreamClientFactory(TimeProvider.System, NullLoggerFactory.Instance);
        Provider = new GeminiProvider("google", config, clients.Create("google", config));
    }

    public IEnumerable<ReceivedRequest> Requests => _upstream.Requests;

    public GeminiProvider Provider { get; }

    public static async Task<FakeGemini> StartAsync(Func<HttpContext, Task> answer) => new(await FakeUpstream.StartAsync(answer));

    public static Task<FakeGemini> AnswerAsync(string json, int status = 200) => StartAsync(context =>
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json; charset=UTF-8";
        return context.Response.WriteAsync(json);
    });

    /// <summary>Events as they are, each flushed; then what <paramref name="end"/> does.</summary>
    public static Task<FakeGemini> StreamAsync(IEnumerable<string> events, Func<HttpContext, Task>? end = null) => StartAsync(async context =>
    {
        context.Response.ContentType = "text/event-stream";
        foreach (var json in events)
        {
            await context.Response.Body.WriteAsync(Encoding.UTF8.GetBytes($"data: {json}\r\n\r\n"));
            await context.Response.Body.FlushAsync();
        }
        if (end is not null) await end(context);
    });

    public ValueTask DisposeAsync() => _upstream.DisposeAsync();
}
