using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Rescue;

/// <summary>A gateway in front of two model servers. The first one loses its streams, the second one serves them whole.</summary>
internal sealed class RescueWorld : IAsyncDisposable
{
    private RescueWorld(FakeUpstream first, FakeUpstream second) => (First, Second) = (first, second);

    public FakeUpstream First { get; }

    public FakeUpstream Second { get; }

    public TestGateway Gateway { get; private set; } = null!;

    /// <param name="kind">Kind of both providers.</param>
    /// <param name="stream">Content of the section <c>stream</c>.</param>
    /// <param name="secondModel">Name of the second provider's model.</param>
    /// <param name="prefill">Whether the model takes a turn of its own at the end.</param>
    /// <param name="secondKind">Kind of the second provider; null for that of the first.</param>
    /// <param name="continues">Whether the providers are known to continue such a turn; null for as <paramref name="prefill"/>.</param>
    /// <param name="timeouts">Of both providers, instead of a short wait in the stream of the first one.</param>
    public static async Task<RescueWorld> StartAsync(string kind = "openai", string stream = "", string secondModel = "up", bool prefill = false,
        string? secondKind = null, bool? continues = null, string? timeouts = null)
    {
        var world = new RescueWorld(await FakeUpstream.StartAsync(), await FakeUpstream.StartAsync());
        static string PathOf(string kind) => kind == "anthropic" ? "" : "/v1";
        secondKind ??= kind;
        var turn = continues ?? prefill ? ", continuesTurn: true" : "";
        world.Gateway = await TestGateway.StartAsync($$"""
            fairlead:
              breaker: { enabled: false }
              retry: { maxRetries: 0 }
              stream: { batchTokens: 1{{(stream.Length > 0 ? ", " + stream : "")}} }
              providers:
                one: { kind: {{kind}}, baseUrl: {{world.First.Url}}{{PathOf(kind)}}, apiKey: sk-1, timeouts: { {{timeouts ?? "streamIdle: 200ms"}} }{{turn}} }
                two: { kind: {{secondKind}}, baseUrl: {{world.Second.Url}}{{PathOf(secondKind)}}, apiKey: sk-2{{(timeouts is null ? "" : ", timeouts: { " + timeouts + " }")}}{{turn}} }
              models:
                m:
                  contextWindow: 8000
                  maxOutputTokens: 2000
                  tokenizer: o200k
                  prices: { input: 1, output: 10 }
                  capabilities: { tools: true, jsonSchema: true, logprobs: true, reasoning: true, prefill: {{(prefill ? "true" : "false")}} }
                  deployments: [{ provider: one, model: up, priority: 1 }, { provider: two, model: {{secondModel}}, priority: 2 }]
            """);
        return world;
    }

    public async Task<SeenStream> StreamAsync(string path, string body)
    {
        using var response = await Gateway.Client.PostJsonAsync(path, body);
        Assert.Equal(System.Net.HttpStatusCode.OK, response.StatusCode);
        return await SeenStream.ReadAsync(response, TestContext.Current.CancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await Gateway.DisposeAsync();
        await First.DisposeAsync();
        await Second.DisposeAsync();
    }

    /// <summary>Sends events, then loses the stream by <paramref name="fault"/>.</summary>
    public static Func<HttpContext, Task> Losing(string fault, params string[] events) => async context =>
    {
        await FakeUpstream.BeginAsync(context);
        foreach (var one in events) await SendAsync(context, one);
        switch (fault)
        {
            case "end": return;
            case "stall": await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted); return;
            case "done": await SendAsync(context, "[DONE]"); return;
            case "error": await SendAsync(context, """{"error":{"message":"Overloaded","type":"server_error","code":"server_error"}}"""); return;
            default: throw new ArgumentException(fault);
        }
    };

    /// <summary>Sends a whole stream.</summary>
    public static Func<HttpContext, Task> Serving(params string[] events) => async context =>
    {
        await FakeUpstream.BeginAsync(context);
        foreach (var one in events) await SendAsync(context, one);
    };

    private static async Task SendAsync(HttpContext context, string data)
    {
        // Anthropic's events have names, which are their types.
        var type = data.StartsWith("{\"type\":", StringComparison.Ordinal)
            ? JsonDocument.Parse(data).RootElement.GetProperty("type").GetString() : null;
        if (type is not null) await context.Response.WriteAsync($"event: {type}\n", context.RequestAborted);
        await FakeUpstream.SendAsync(context, data);
    }
}
