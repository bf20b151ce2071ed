using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Configuration;
using Fairlead.Providers;
using Fairlead.Providers.Anthropic;
using Fairlead.Providers.Http;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Providers.Anthropic;

/// <summary>A server with Anthropic's API, and a provider that calls it.</summary>
internal sealed class FakeAnthropic : IAsyncDisposable
{
    private readonly FakeUpstream _upstream;

    private FakeAnthropic(FakeUpstream upstream)
    {
        _upstream = upstream;
        var config = new ProviderConfig { Kind = "anthropic", BaseUrl = upstream.Url, ApiKey = "sk-ant-secret" };
        var clients = new UpstreamClientFactory(TimeProvider.System, NullLoggerFactory.Instance);
        Provider = new AnthropicProvider("claude", config, clients.Create("claude", config));
    }

    public IEnumerable<ReceivedRequest> Requests => _upstream.Requests;

    public AnthropicProvider Provider { get; }

    public static async Task<FakeAnthropic> StartAsync(Func<HttpContext, Task> answer) => new(await FakeUpstream.StartAsync(answer));

    public static Task<FakeAnthropic> AnswerAsync(string json, int status = 200, string? retryAfter = null) => StartAsync(context =>
    {
        if (retryAfter is not null) context.Response.Headers.RetryAfter = retryAfter;
        return FakeUpstream.Json(context, json, status);
    });

    /// <summary>Named events, a ping before each, every one flushed; then what <paramref name="end"/> does.</summary>
    public static Task<FakeAnthropic> StreamAsync(IEnumerable<string> events, Func<HttpContext, Task>? end = null) => StartAsync(async context =>
    {
        context.Response.ContentType = "text/event-stream; charset=utf-8";
        foreach (var json in events)
        {
            var type = json.StartsWith("{\"type\"", StringComparison.Ordinal) ? (string)JsonNode.Parse(json)!["type"]! : "content_block_delta";
            var piece = $"event: ping\ndata: {{\"type\": \"ping\"}}\n\nevent: {type}\ndata: {json}\n\n";
            await context.Response.Body.WriteAsync(Encoding.UTF8.GetBytes(piece));
            await context.Response.Body.FlushAsync();
        }
        if (end is not null) await end(context);
    });

    public ValueTask DisposeAsync() => _upstream.DisposeAsync();
}
