using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Fairlead.Tests.Common;

/// <summary>
/// The model server of all tests, on loopback. A test writes its responses by hand, error by error, and reads what it received. The bodies
/// here are those of OpenAI's API; tests of other providers bring their own.
/// </summary>
public sealed class FakeUpstream : IAsyncDisposable
{
    public const string Usage = """{"prompt_tokens":11,"completion_tokens":3,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":4}}""";

    /// <summary>Name of the item of the context that has the request's body, if that is JSON.</summary>
    public const string RequestItem = "request";

    private readonly WebApplication _app;

    private FakeUpstream(WebApplication app, Func<HttpContext, Task>? answer)
    {
        _app = app;
        Answer = answer ?? (context => Json(context, Completion("hello")));
    }

    public string Url { get; private set; } = "";

    /// <summary>Requests received, in order.</summary>
    public ConcurrentQueue<ReceivedRequest> Requests { get; } = new();

    /// <summary>Bodies received that are JSON, in order.</summary>
    public ConcurrentQueue<JsonElement> Received { get; } = new();

    /// <summary>Headers received, in order.</summary>
    public IEnumerable<Dictionary<string, string>> Headers => Requests.Select(request => request.Headers);

    /// <summary>Paths received, without their queries, in order.</summary>
    public IEnumerable<string> Paths => Requests.Select(request => request.Path);

    /// <summary>Set when the gateway aborts a request.</summary>
    public TaskCompletionSource Aborted { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Released by the test for each event it has read from <see cref="StreamingAsync"/>.</summary>
    public SemaphoreSlim Seen { get; } = new(0);

    /// <summary>Responds to the next requests.</summary>
    public Func<HttpContext, Task> Answer { get; set; }

    /// <param name="answer">Responds to all requests; without it, a completion.</param>
    /// <param name="listen">Changes how it listens, such as to TLS.</param>
    public static async Task<FakeUpstream> StartAsync(Func<HttpContext, Task>? answer = null, Action<ListenOptions>? listen = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        if (listen is not null) builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0, options => listen?.Invoke(options)));
        var upstream = new FakeUpstream(builder.Build(), answer);
        upstream._app.Run(upstream.RespondAsync);
        await upstream._app.StartAsync();
        upstream.Url = upstream._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        return upstream;
    }

    public static Task<FakeUpstream> AnsweringAsync(int status, string body, string type = "application/json",
        params (string Name, string Value)[] headers) => StartAsync(async context =>
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        foreach (var (name, value) in headers) context.Response.Headers[name] = value;
        await context.Response.WriteAsync(body, context.RequestAborted);
    });

    /// <summary>
    /// Streams the pieces, each with a separate flush. "!" resets the connection after everything before it was read, because a reset
    /// destroys data in transit. "…" waits until the gateway disconnects.
    /// </summary>
    public static async Task<FakeUpstream> StreamingAsync(params string[] pieces)
    {
        var upstream = await StartAsync();
        upstream.Answer = context => StreamAsync(context, pieces, upstream.Seen);
        return upstream;
    }

    /// <summary>
    /// Configuration with this server as the provider <c>up</c> and one model <c>m</c> on it. Tests script its errors, however many.
    /// </summary>
    public string Yaml(string more = "") => $$"""
        fairlead:
          breaker: { enabled: false }
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

    /// <summary>Resets the connection in the middle of the response.</summary>
    public static void Cut(HttpContext context) => context.Features.Get<IHttpRequestLifetimeFeature>()!.Abort();

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(new CancellationToken(canceled: true));
        await _app.DisposeAsync();
        Seen.Dispose();
    }

    private async Task RespondAsync(HttpContext context)
    {
        context.RequestAborted.Register(() => Aborted.TrySetResult());
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        var headers = context.Request.Headers.ToDictionary(header => header.Key, header => header.Value.ToString(),
            StringComparer.OrdinalIgnoreCase);
        Requests.Enqueue(new ReceivedRequest(context.Request.Path, context.Request.QueryString.ToString(), headers,
            Encoding.UTF8.GetString(body.ToArray()), context.Request.Protocol, context.Connection.Id));
        if (TryParse(body.ToArray()) is { } request)
        {
            Received.Enqueue(request);
            context.Items[RequestItem] = request;
        }
        await Answer(context);
    }

    private static JsonElement? TryParse(byte[] body)
    {
        try
        {
            return JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = 1024 }).RootElement;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static async Task StreamAsync(HttpContext context, string[] pieces, SemaphoreSlim seen)
    {
        context.Response.ContentType = "text/event-stream";
        foreach (var piece in pieces)
        {
            if (piece == "!")
            {
                for (var i = 1; i < pieces.Length; i++) await seen.WaitAsync(context.RequestAborted);
                context.Abort();
                return;
            }
            if (piece == "…")
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
                return;
            }
            await context.Response.Body.WriteAsync(Encoding.UTF8.GetBytes(piece), context.RequestAborted);
            await context.Response.Body.FlushAsync(context.RequestAborted);
        }
    }
}

/// <summary>A request as <see cref="FakeUpstream"/> received it.</summary>
/// <param name="Path">Path without the query.</param>
/// <param name="Query">With the question mark; empty without a query.</param>
/// <param name="Headers">Names compare without case.</param>
/// <param name="Body">The whole body.</param>
/// <param name="Protocol">Such as HTTP/1.1.</param>
/// <param name="Connection">The same for all requests of a connection.</param>
public sealed record ReceivedRequest(
    string Path, string Query, Dictionary<string, string> Headers, string Body, string Protocol, string Connection);
