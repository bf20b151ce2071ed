using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Coalescing;

/// <summary>
/// A server of embeddings that counts what it computes. The vector of a text is derived from it, and a text costs as many tokens as it has
/// letters, and two. Requests wait until they are released.
/// </summary>
internal sealed class EmbeddingUpstream : IAsyncDisposable
{
    private readonly SemaphoreSlim _arrived = new(0);
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _arrivedInputs;
    private int _aborted;

    private EmbeddingUpstream(FakeUpstream server) => Server = server;

    public FakeUpstream Server { get; }

    /// <summary>The inputs of each request, in the order of arrival.</summary>
    public ConcurrentQueue<string[]> Requests { get; } = new();

    /// <summary>All inputs that were computed.</summary>
    public IEnumerable<string> Computed => Requests.SelectMany(request => request);

    public long Tokens => Computed.Sum(TokensOf);

    /// <summary>Requests that the gateway aborted.</summary>
    public int Aborted => Volatile.Read(ref _aborted);

    /// <summary>Status of requests with such an input; null for 200.</summary>
    public Func<string[], int?> StatusOf { get; set; } = _ => null;

    /// <summary>Status of requests with such a key, at once; null for others.</summary>
    public Func<string, int?> StatusOfKey { get; set; } = _ => null;

    public static async Task<EmbeddingUpstream> StartAsync()
    {
        var server = await FakeUpstream.StartAsync();
        var upstream = new EmbeddingUpstream(server);
        server.Answer = upstream.AnswerAsync;
        return upstream;
    }

    public string Yaml(string more = "  coalescing: { embeddings: true }") => $$"""
        fairlead:
          providers:
            up: { kind: openai, baseUrl: {{Server.Url}}/v1, apiKey: sk-upstream-secret }
          retry: { maxRetries: 0 }
          models:
            vectors:
              kind: embedding
              contextWindow: 8000
              tokenizer: cl100k
              prices: { input: 1, output: 0 }
              deployments: [{ provider: up, model: upstream-vectors }]
        {{more}}
        """;

    /// <summary>Responds to all requests, those that wait and later ones.</summary>
    public void Release() => _released.TrySetResult();

    /// <summary>Waits until this many inputs have arrived since the start.</summary>
    public async Task ArrivedAsync(int inputs, CancellationToken cancellationToken)
    {
        while (Volatile.Read(ref _arrivedInputs) < inputs) Assert.True(await _arrived.WaitAsync(TimeSpan.FromSeconds(60), cancellationToken));
    }

    /// <summary>What a text costs: bytes of its JSON, by which shared usage is divided.</summary>
    public static long TokensOf(string text) => text.Length + 2;

    /// <summary>What texts cost in US dollars.</summary>
    public static decimal UsdOf(params string[] texts) => texts.Sum(TokensOf) / 1_000_000m;

    /// <summary>The vector of a text.</summary>
    public static float[] VectorOf(string text) => [text.Length, text[0], text[^1], text.Sum(letter => letter)];

    public async ValueTask DisposeAsync()
    {
        Release();
        await Server.DisposeAsync();
        _arrived.Dispose();
    }

    private async Task AnswerAsync(HttpContext context)
    {
        if (StatusOfKey(context.Request.Headers.Authorization.ToString()) is { } rejected)
        {
            await FakeUpstream.Json(context, """{"error":{"message":"no","type":"invalid_request_error","code":"invalid_api_key"}}""", rejected);
            return;
        }
        var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
        var isGemini = request.TryGetProperty("requests", out var parts);
        string[] inputs = isGemini
            ? [.. parts.EnumerateArray().Select(part => part.GetProperty("content").GetProperty("parts")[0].GetProperty("text").GetString()!)]
            : request.GetProperty("input") is { ValueKind: JsonValueKind.Array } list
                ? [.. list.EnumerateArray().Select(item => item.GetString()!)] : [request.GetProperty("input").GetString()!];
        Requests.Enqueue(inputs);
        Interlocked.Add(ref _arrivedInputs, inputs.Length);
        _arrived.Release();
        using var left = context.RequestAborted.Register(() => Interlocked.Increment(ref _aborted));
        await _released.Task.WaitAsync(context.RequestAborted);
        if (StatusOf(inputs) is { } status)
        {
            await FakeUpstream.Json(context, """{"error":{"message":"no","type":"invalid_request_error"}}""", status);
            return;
        }
        await FakeUpstream.Json(context, isGemini ? Gemini(inputs) : OpenAi(inputs));
    }

    private static string Gemini(string[] inputs) =>
        $$"""{"embeddings":[{{string.Join(",", inputs.Select(text => $$"""{"values":{{Write(text)}}}"""))}}]}""";

    private static string OpenAi(string[] inputs)
    {
        var data = inputs.Select((text, i) => $$"""{"object":"embedding","index":{{i}},"embedding":{{Write(text)}},"note":"{{text.Length}}"}""");
        var tokens = inputs.Sum(TokensOf);
        return $$"""{"object":"list","data":[{{string.Join(",", data)}}],"model":"upstream-vectors-1","usage":{"prompt_tokens":{{tokens}},"total_tokens":{{tokens}}},"region":"north"}""";
    }

    // With more digits than a float32 needs, to see that they are kept.
    private static string Write(string text) =>
        $"[{string.Join(",", VectorOf(text).Select(value => value.ToString("0.000000000000", CultureInfo.InvariantCulture)))}]";
}
