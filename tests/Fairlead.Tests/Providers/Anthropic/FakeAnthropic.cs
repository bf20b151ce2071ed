using System.Collections.Concurrent;
using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Configuration;
using Fairlead.Providers;
using Fairlead.Providers.Anthropic;
using Fairlead.Providers.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Providers.Anthropic;

/// <summary>A server on loopback that takes what Anthropic's API takes and answers as a test says.</summary>
internal sealed class FakeAnthropic : IAsyncDisposable
{
    private readonly WebApplication _app;

    private FakeAnthropic(Func<HttpContext, Task> answer)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        _app = builder.Build();
        _app.Run(async context =>
        {
            using var reader = new StreamReader(context.Request.Body);
            var headers = context.Request.Headers;
            Requests.Enqueue(new Seen(
                context.Request.Path + context.Request.QueryString, headers["x-api-key"].ToString(), headers["anthropic-version"].ToString(),
                headers["anthropic-beta"].ToString(), JsonNode.Parse(await reader.ReadToEndAsync())!));
            await answer(context);
        });
    }

    public ConcurrentQueue<Seen> Requests { get; } = new();

    public AnthropicProvider Provider { get; private set; } = null!;

    public static async Task<FakeAnthropic> StartAsync(Func<HttpContext, Task> answer)
    {
        var fake = new FakeAnthropic(answer);
        await fake._app.StartAsync();
        var config = new ProviderConfig
        {
            Kind = "anthropic",
            BaseUrl = fake._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First(),
            ApiKey = "sk-ant-secret",
        };
        fake.Provider = new AnthropicProvider("claude", config, new UpstreamClientFactory(TimeProvider.System, NullLoggerFactory.Instance).Create("claude", config));
        return fake;
    }

    public static Task<FakeAnthropic> AnswerAsync(string json, int status = 200, string? retryAfter = null) => StartAsync(context =>
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        if (retryAfter is not null) context.Response.Headers.RetryAfter = retryAfter;
        return context.Response.WriteAsync(json);
    });

    /// <summary>Named events, a ping before each, every one flushed; then what <paramref name="end"/> does.</summary>
    public static Task<FakeAnthropic> StreamAsync(IEnumerable<string> events, Func<HttpContext, Task>? end = null) => StartAsync(async context =>
    {
        context.Response.ContentType = "text/event-stream; charset=utf-8";
        foreach (var json in events)
        {
            var type = json.StartsWith("{\"type\"", StringComparison.Ordinal) ? (string)JsonNode.Parse(json)!["type"]! : "content_block_delta";
            await context.Response.Body.WriteAsync(Encoding.UTF8.GetBytes($"event: ping\ndata: {{\"type\": \"ping\"}}\n\nevent: {type}\ndata: {json}\n\n"));
            await context.Response.Body.FlushAsync();
        }
        if (end is not null) await end(context);
    });

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();

    internal sealed record Seen(string Path, string Key, string Version, string Beta, JsonNode Body);
}
