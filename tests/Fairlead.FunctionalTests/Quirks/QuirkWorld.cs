using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Quirks;

/// <summary>What an upstream sends: bytes and headers.</summary>
internal sealed record QuirkReply(byte[] Body, string ContentType, string? Encoding = null)
{
    /// <summary>Where the body is flushed, so that events arrive in pieces; 0 sends it at once.</summary>
    public int PieceBytes { get; init; }

    public static QuirkReply Json(string body) => new(Utf8(body), "application/json");

    public static QuirkReply Events(params string[] data) => new(Utf8(string.Concat(data.Select(one => $"data: {one}\n\n"))), "text/event-stream");

    public static QuirkReply Raw(string body, string contentType = "text/event-stream") => new(Utf8(body), contentType);

    public static byte[] Utf8(string text) => System.Text.Encoding.UTF8.GetBytes(text);

    public async Task SendAsync(HttpContext context)
    {
        context.Response.ContentType = ContentType;
        if (Encoding is not null) context.Response.Headers.ContentEncoding = Encoding;
        var piece = PieceBytes == 0 ? Math.Max(1, Body.Length) : PieceBytes;
        for (var at = 0; at < Body.Length; at += piece)
        {
            await context.Response.Body.WriteAsync(Body.AsMemory(at, Math.Min(piece, Body.Length - at)), context.RequestAborted);
            await context.Response.Body.FlushAsync(context.RequestAborted);
        }
    }
}

/// <summary>What a client of any dialect got, in words that all dialects share.</summary>
/// <param name="Finish">stop, length, tool_calls, content_filter or failed.</param>
internal sealed record QuirkSeen(int Status, string Text, string Reasoning, IReadOnlyList<(string Name, string Arguments)> Calls, string Finish, string Raw);

/// <summary>A gateway in front of servers with quirks, called by clients of every dialect.</summary>
public sealed class QuirkWorld : IAsyncLifetime
{
    public static readonly string[] Dialects = ["chat", "messages", "responses", "v2"];

    private const string Tools = "\"get\",\"set\"";

    public FakeUpstream Upstream { get; private set; } = null!;

    public TestGateway Gateway { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Upstream = await FakeUpstream.StartAsync();
        const string Facts = "contextWindow: 8000, maxOutputTokens: 2000, prices: { input: 1, output: 10 }, capabilities: { tools: true, jsonSchema: true, multipleChoices: true, reasoning: true }";
        Gateway = await TestGateway.StartAsync($$"""
            fairlead:
              retry: { maxRetries: 0 }
              breaker: { enabled: false }
              stream: { batchTokens: 1 }
              providers:
                ch: { kind: vllm, baseUrl: {{Upstream.Url}}/v1 }
                re: { kind: openai, baseUrl: {{Upstream.Url}}/v1, apiKey: k }
                an: { kind: anthropic, baseUrl: {{Upstream.Url}}, apiKey: k }
                ge: { kind: gemini, baseUrl: {{Upstream.Url}}, apiKey: k }
              models:
                chat: { {{Facts}}, deployments: [{ provider: ch, model: up }] }
                messages: { {{Facts}}, deployments: [{ provider: an, model: claude-haiku-5-5 }] }
                responses: { {{Facts}}, deployments: [{ provider: re, model: up }] }
                embed: { kind: embedding, contextWindow: 8000, prices: { input: 1, output: 0 }, deployments: [{ provider: ch, model: e }] }
                gemini: { {{Facts}}, deployments: [{ provider: ge, model: gemini-2.5-flash }] }
            """);
    }

    public async ValueTask DisposeAsync()
    {
        await Gateway.DisposeAsync();
        await Upstream.DisposeAsync();
    }

    internal async Task<QuirkSeen> AskAsync(string model, string dialect, bool stream, int choices, CancellationToken cancellationToken)
    {
        var (path, body) = dialect switch
        {
            "chat" => ("/v1/chat/completions", $$"""{"model":"{{model}}","stream":{{Word(stream)}},{{(choices > 1 ? $"\"n\":{choices}," : "")}}"messages":[{"role":"user","content":"hi"}],"tools":[{{List("""{"type":"function","function":{"name":"@","parameters":{"type":"object"}}}""")}}]}"""),
            "messages" => ("/v1/messages", $$"""{"model":"{{model}}","max_tokens":500,"stream":{{Word(stream)}},"messages":[{"role":"user","content":"hi"}],"tools":[{{List("""{"name":"@","input_schema":{"type":"object"}}""")}}]}"""),
            "responses" => ("/v1/responses", $$"""{"model":"{{model}}","store":false,"stream":{{Word(stream)}},"input":"hi","tools":[{{List("""{"type":"function","name":"@","parameters":{"type":"object"}}""")}}]}"""),
            _ => ("/v2/generations", $$"""{"model":"{{model}}","input":"hi","delivery":{"mode":"{{(stream ? "stream" : "sync")}}"},"tools":[{{List("""{"name":"@","parameters":{"type":"object"}}""")}}]}"""),
        };
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        using var response = await Gateway.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        if (!stream || response.Content.Headers.ContentType?.MediaType != "text/event-stream")
        {
            var text = await response.Content.ReadAsStringAsync(cancellationToken);
            if (!response.IsSuccessStatusCode) return new QuirkSeen((int)response.StatusCode, "", "", [], "failed", text);
            return QuirkReader.Whole(dialect, text);
        }
        return QuirkReader.Stream(dialect, await SeenStream.ReadAsync(response, cancellationToken));
    }

    private static string Word(bool value) => value ? "true" : "false";

    private static string List(string template) => string.Join(',', Tools.Split(',').Select(name => template.Replace("@", name.Trim('"'), StringComparison.Ordinal)));
}
