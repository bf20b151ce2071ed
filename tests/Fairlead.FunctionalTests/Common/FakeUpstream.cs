using Microsoft.AspNetCore.Hosting;
using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Fairlead.FunctionalTests.Common;

/// <summary>An OpenAI-style model server on loopback whose next answers a test writes by hand, fault by fault.</summary>
public sealed class FakeUpstream : IAsyncDisposable
{
    public const string Usage = """{"prompt_tokens":11,"completion_tokens":3,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":4}}""";

    /// <summary>Where an answer finds the body that it answers, among the context's items.</summary>
    public const string RequestItem = "request";

    private readonly WebApplication _app;

    private FakeUpstream(WebApplication app, string url)
    {
        _app = app;
        Url = url;
    }

    public string Url { get; }

    /// <summary>Bodies received, in order.</summary>
    public ConcurrentQueue<JsonElement> Received { get; } = new();

    /// <summary>Headers received, in order.</summary>
    public ConcurrentQueue<Dictionary<string, string>> Headers { get; } = new();

    /// <summary>Paths asked at, in order.</summary>
    public ConcurrentQueue<string> Paths { get; } = new();

    /// <summary>What answers the next calls; the last one stays.</summary>
    public Func<HttpContext, Task> Answer { get; set; } = context => Json(context, Completion("hello"));

    public static async Task<FakeUpstream> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        FakeUpstream? upstream = null;
        app.Run(async context =>
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body, context.RequestAborted);
            upstream!.Paths.Enqueue(context.Request.Path);
            upstream.Headers.Enqueue(context.Request.Headers.ToDictionary(header => header.Key, header => header.Value.ToString()));
            var request = JsonDocument.Parse(body.ToArray(), new JsonDocumentOptions { MaxDepth = 1024 }).RootElement;
            upstream.Received.Enqueue(request);
            context.Items[RequestItem] = request;
            await upstream.Answer(context);
        });
        await app.StartAsync();
        upstream = new FakeUpstream(app, app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());
        return upstream;
    }

    /// <summary>Configuration with this server as the provider <c>up</c> and one model <c>m</c> on it.</summary>
    public string Yaml(string more = "") => $$"""
        fairlead:
          providers:
            up: { kind: openai, baseUrl: {{Url}}/v1, apiKey: sk-upstream-secret }
          models:
            m:
              contextWindow: 8000
              maxOutputTokens: 2000
              tokenizer: o200k
              prices: { input: 1, cachedInput: 0.5, output: 10 }
              capabilities: { tools: true, jsonSchema: true, logprobs: true }
              deployments: [{ provider: up, model: upstream-m }]
        {{more}}
        """;

    public static string Completion(string text, string finish = "stop") =>
        $$$"""{"id":"chatcmpl-up","object":"chat.completion","created":1700000000,"model":"upstream-m-0001","choices":[{"index":0,"message":{"role":"assistant","content":{{{JsonSerializer.Serialize(text)}}},"refusal":null,"vendor_note":{"kept":true}},"logprobs":null,"finish_reason":"{{{finish}}}"}],"usage":{{{Usage}}},"system_fingerprint":"fp_1"}""";

    public static string Chunk(string delta, string? finish = null, string more = "") =>
        $$$"""{"id":"chatcmpl-up","object":"chat.completion.chunk","created":1700000000,"model":"upstream-m-0001","choices":[{"index":0,"delta":{{{delta}}},"finish_reason":{{{(finish is null ? "null" : $"\"{finish}\"")}}}}]{{{more}}}}""";

    public static string UsageChunk() => $$"""{"id":"chatcmpl-up","object":"chat.completion.chunk","created":1700000000,"model":"upstream-m-0001","choices":[],"usage":{{Usage}}}""";

    public static Task Json(HttpContext context, string body, int status = 200)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(body, context.RequestAborted);
    }

    public static async Task BeginAsync(HttpContext context)
    {
        context.Response.ContentType = "text/event-stream";
        await context.Response.StartAsync(context.RequestAborted);
    }

    public static async Task SendAsync(HttpContext context, params string[] data)
    {
        foreach (var one in data) await context.Response.WriteAsync($"data: {one}\n\n", context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
    }

    /// <summary>Cuts the connection in the middle.</summary>
    public static void Cut(HttpContext context) => context.Features.Get<IHttpRequestLifetimeFeature>()!.Abort();

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(new CancellationToken(canceled: true));
        await _app.DisposeAsync();
    }
}

/// <summary>A server-sent event as a test sees it.</summary>
public sealed record SeenEvent(string? Id, string? Name, string Data)
{
    public JsonElement Json => JsonDocument.Parse(Data).RootElement;
}

/// <summary>Reads a stream to its end, or to where it broke.</summary>
public sealed record SeenStream(IReadOnlyList<SeenEvent> Events, bool Broken, string Raw)
{
    public static async Task<SeenStream> ReadAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var raw = new StringBuilder();
        var broken = false;
        try
        {
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(cancellationToken));
            var buffer = new char[4096];
            while (await reader.ReadAsync(buffer, cancellationToken) is var read and > 0) raw.Append(buffer, 0, read);
        }
        catch (Exception exception) when (exception is IOException or HttpRequestException)
        {
            broken = true;
        }
        var events = new List<SeenEvent>();
        foreach (var block in raw.ToString().Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            string? id = null, name = null, data = null;
            foreach (var line in block.Split('\n'))
            {
                if (line.StartsWith("id: ", StringComparison.Ordinal)) id = line[4..];
                if (line.StartsWith("event: ", StringComparison.Ordinal)) name = line[7..];
                if (line.StartsWith("data: ", StringComparison.Ordinal)) data = data is null ? line[6..] : data + "\n" + line[6..];
            }
            if (data is not null) events.Add(new SeenEvent(id, name, data));
        }
        return new SeenStream(events, broken, raw.ToString());
    }
}
