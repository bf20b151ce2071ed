using System.Collections.Concurrent;
using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Configuration;
using Fairlead.Providers;
using Fairlead.Providers.Gemini;
using Fairlead.Providers.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Providers.Gemini;

/// <summary>A server on loopback that takes what the Gemini API takes and answers as a test says.</summary>
internal sealed class FakeGemini : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly Func<HttpContext, Task> _answer;

    private FakeGemini(Func<HttpContext, Task> answer)
    {
        _answer = answer;
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        _app = builder.Build();
        _app.Run(async context =>
        {
            using var reader = new StreamReader(context.Request.Body);
            Requests.Enqueue((context.Request.Path + context.Request.QueryString, context.Request.Headers["x-goog-api-key"].ToString(), JsonNode.Parse(await reader.ReadToEndAsync())!));
            await _answer(context);
        });
    }

    public ConcurrentQueue<(string Path, string Key, JsonNode Body)> Requests { get; } = new();

    public GeminiProvider Provider { get; private set; } = null!;

    public static async Task<FakeGemini> StartAsync(Func<HttpContext, Task> answer)
    {
        var fake = new FakeGemini(answer);
        await fake._app.StartAsync();
        var config = new ProviderConfig
        {
            Kind = "gemini",
            BaseUrl = fake._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First(),
            ApiKey = "AIza-secret",
        };
        fake.Provider = new GeminiProvider("google", config, new UpstreamClientFactory(TimeProvider.System, NullLoggerFactory.Instance).Create("google", config));
        return fake;
    }

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

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();
}
