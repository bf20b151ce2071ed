using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Fidelity;

/// <summary>Responses that pass through in their own dialect, from servers with unusual behavior.</summary>
public sealed class NativePathTests : IAsyncLifetime
{
    private const string Ask = """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""";
    private const string AskWhole = """{"model":"m","messages":[{"role":"user","content":"hi"}]}""";
    private const string AskClaude = """{"model":"c","max_tokens":50,"messages":[{"role":"user","content":"hi"}]""";
    private static readonly JsonDocumentOptions NoDuplicates = new() { AllowDuplicateProperties = false };

    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync($$"""
            fairlead:
              retry: { maxRetries: 0 }
              breaker: { enabled: false }
              providers:
                up: { kind: vllm, baseUrl: {{_upstream.Url}}/v1 }
                claude: { kind: anthropic, baseUrl: {{_upstream.Url}}, apiKey: sk-ant-secret }
              models:
                m:
                  contextWindow: 8000
                  maxOutputTokens: 2000
                  prices: { input: 1, output: 10 }
                  capabilities: { tools: true, jsonSchema: true, multipleChoices: true }
                  deployments: [{ provider: up, model: upstream-m }]
                c:
                  contextWindow: 8000
                  maxOutputTokens: 2000
                  prices: { input: 1, output: 10 }
                  capabilities: { tools: true, reasoning: true }
                  deployments: [{ provider: claude, model: claude-haiku-5-5 }]
            """);
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Fact]
    public async Task Stream_ContentInFinishChunkThenBreak_ContentIsSentImmediately()
    {
        var seen = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"first whole"}""", "stop"));
            await seen.Task.WaitAsync(TimeSpan.FromSeconds(30), Cancel);
            Cut(context);
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", Ask.Replace("\"stream\"", "\"n\":2,\"stream\"", StringComparison.Ordinal));
        await using var bytes = await response.Content.ReadAsStreamAsync(Cancel);
        using var reader = new StreamReader(bytes);
        while (await reader.ReadLineAsync(Cancel) is { } line)
        {
            if (!line.StartsWith("data: ", StringComparison.Ordinal)) continue;
            var choice = JsonDocument.Parse(line[6..]).RootElement.GetProperty("choices")[0];
            Assert.Equal("first whole", choice.GetProperty("delta").GetProperty("content").GetString());
            Assert.Equal(JsonValueKind.Null, choice.GetProperty("finish_reason").ValueKind);
            break;
        }
        seen.SetResult();
        var rest = await SeenStream.ReadAsync(response, Cancel);
        Assert.DoesNotContain("\"choices\"", rest.Raw, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stream_ContentInFinishChunk_HasOneFinishReason()
    {
        await AnswerAsync(Chunk("""{"role":"assistant","content":"a"}"""), Chunk("""{"content":"b"}""", "length", $",\"usage\":{Usage}"), "[DONE]");
        var stream = await StreamAsync("/v1/chat/completions", Ask);
        Assert.False(stream.Broken, stream.Raw);
        var chunks = Chunks(stream);
        Assert.Equal("ab", Text(chunks));
        Assert.Equal(["length"], Reasons(chunks));
        Assert.Equal(11, chunks[^1].GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
        Assert.Equal("length", chunks[^1].GetProperty("fairlead").GetProperty("outcome").GetString());
        Assert.All(chunks.SkipLast(1), chunk => Assert.False(chunk.TryGetProperty("usage", out var usage) && usage.ValueKind == JsonValueKind.Object));
    }

    [Fact]
    public async Task Stream_FinishReasonInEveryChunk_ReturnsAllTextAndOneFinishReason()
    {
        await AnswerAsync(Chunk("""{"role":"assistant","content":"a"}""", "stop"), Chunk("""{"content":"b"}""", "stop"), Chunk("""{"content":"c"}""", "stop"), "[DONE]");
        var chunks = Chunks(await StreamAsync("/v1/chat/completions", Ask));
        Assert.Equal("abc", Text(chunks));
        Assert.Equal(["stop"], Reasons(chunks));
    }

    [Theory]
    [InlineData("insufficient_system_resource")]
    [InlineData("error")]
    public async Task FinishReason_Failure_FailsResponse(string reason)
    {
        await AnswerAsync(Chunk("""{"role":"assistant","content":"half"}"""), Chunk("{}", reason), UsageChunk(), "[DONE]");
        var stream = await StreamAsync("/v1/chat/completions", Ask);
        Assert.DoesNotContain("[DONE]", stream.Raw, StringComparison.Ordinal);
        Assert.DoesNotContain("\"outcome\":\"complete\"", stream.Raw, StringComparison.Ordinal);

        _upstream.Answer = context => Json(context, Completion("half", reason));
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", AskWhole);
        Assert.Equal(HttpStatusCode.BadGateway, response.StatusCode);
    }

    [Fact]
    public async Task Chat_UpstreamIsFairlead_ReturnsNoDuplicateFields()
    {
        const string Theirs = ",\"sequence_number\":77,\"fairlead\":{\"generation_id\":\"gen_theirs\",\"cost\":{\"usd\":9}}";
        await AnswerAsync(Chunk("""{"role":"assistant","content":"\"fairlead\" is a word"}""", null, Theirs), Chunk("{}", "stop", Theirs), UsageChunk()[..^1] + Theirs + "}", "[DONE]");
        foreach (var ask in (string[])[Ask, Ask.Replace("\"stream\":true", "\"stream\":true,\"stream_options\":{\"include_usage\":true}", StringComparison.Ordinal)])
        {
            var stream = await StreamAsync("/v1/chat/completions", ask);
            Assert.DoesNotContain("theirs", stream.Raw, StringComparison.Ordinal);
            var chunks = Chunks(stream);
            Assert.Equal(Enumerable.Range(0, chunks.Count), chunks.Select(chunk => chunk.GetProperty("sequence_number").GetInt32()));
            Assert.Equal("\"fairlead\" is a word", Text(chunks));
        }
        _upstream.Answer = context => Json(context, Completion("x")[..^1] + Theirs + "}");
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", AskWhole);
        var body = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel), NoDuplicates).RootElement;
        Assert.NotEqual("gen_theirs", body.GetProperty("fairlead").GetProperty("generation_id").GetString());
    }

    [Fact]
    public async Task Messages_SameDialectProvider_HasNoDuplicateFields()
    {
        const string Theirs = ",\"sequence_number\":77,\"fairlead\":{\"generation_id\":\"gen_theirs\"}}";
        string[] events =
        [
            """{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"up","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}""",
            """{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}""", """{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"yes"}""",
            """{"type":"content_block_stop","index":0""", """{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}""", """{"type":"message_stop" """,
        ];
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            foreach (var one in events) await context.Response.WriteAsync($"event: {JsonDocument.Parse(one + "}").RootElement.GetProperty("type").GetString()}\ndata: {one}{Theirs}\n\n", Cancel);
        };
        var stream = await StreamAsync("/v1/messages", AskClaude + ",\"stream\":true}");
        Assert.DoesNotContain("theirs", stream.Raw, StringComparison.Ordinal);
        Assert.Equal(Enumerable.Range(0, stream.Events.Count), stream.Events.Select(e => JsonDocument.Parse(e.Data, NoDuplicates).RootElement.GetProperty("sequence_number").GetInt32()));

        _upstream.Answer = context => Json(context, """{"id":"msg_1","type":"message","role":"assistant","model":"up","content":[{"type":"text","text":"x"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}""" + Theirs);
        using var response = await _gateway.Client.PostJsonAsync("/v1/messages", AskClaude + "}");
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.NotEqual("gen_theirs", JsonDocument.Parse(text, NoDuplicates).RootElement.GetProperty("fairlead").GetProperty("generation_id").GetString());
    }

    [Theory]
    [InlineData("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("/v1/chat/completions", """{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("/v1/messages", """{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}""")]
    public async Task Stream_UpstreamRefusesStreamOptions_RetriesOnceWithoutThem(string path, string ask)
    {
        _upstream.Answer = async context =>
        {
            if (_upstream.Received.Last().TryGetProperty("stream_options", out var options) && options.ValueKind == JsonValueKind.Object)
            {
                await Json(context, """{"object":"error","message":"[{'loc': ('body', 'stream_options'), 'msg': 'extra fields not permitted'}]","type":"BadRequestError","param":null,"code":400}""", 400);
                return;
            }
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"yes"}"""), Chunk("{}", "stop"), "[DONE]");
        };
        foreach (var calls in (int[])[2, 3])
        {
            var stream = await StreamAsync(path, ask);
            Assert.False(stream.Broken, stream.Raw);
            Assert.Contains("yes", stream.Raw, StringComparison.Ordinal);
            Assert.Contains("\"basis\":\"estimated\"", stream.Raw, StringComparison.Ordinal);
            // The second call no longer tries the field.
            Assert.Equal(calls, _upstream.Received.Count);
        }
    }

    [Fact]
    public async Task Completions_SeveralPrompts_CompleteOnlyWithAllChoices()
    {
        static string Piece(int index, string text, string? reason) =>
            $$"""{"id":"cmpl-up","object":"text_completion","created":1700000000,"model":"up","choices":[{"text":"{{text}}","index":{{index}},"logprobs":null,"finish_reason":{{(reason is null ? "null" : $"\"{reason}\"")}}}]}""";
        const string Two = """{"model":"m","stream":true,"prompt":["a","b"],"max_tokens":5}""";
        await AnswerAsync(Piece(0, "one", "stop"), Piece(1, "two", null));
        Assert.DoesNotContain("[DONE]", (await StreamAsync("/v1/completions", Two)).Raw, StringComparison.Ordinal);

        await AnswerAsync(Piece(0, "one", "stop"), Piece(1, "two", "length"), "[DONE]");
        var whole = await StreamAsync("/v1/completions", Two);
        Assert.False(whole.Broken, whole.Raw);
        Assert.Equal(["stop", "length"], Reasons(Chunks(whole)));
        Assert.Contains("one", whole.Raw, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Messages_NonAsciiBetaHeader_Returns400WithoutCallingProvider()
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(_gateway.Url + "/v1/messages")) { Content = new StringContent(AskClaude + "}", Encoding.UTF8, "application/json") };
        request.Headers.TryAddWithoutValidation("anthropic-beta", "caf\u00e9");
        using var handler = new SocketsHttpHandler { RequestHeaderEncodingSelector = (_, _) => Encoding.UTF8 };
        using var client = new HttpClient(handler);
        client.DefaultRequestHeaders.Authorization = new("Bearer", _gateway.Key);
        using var response = await client.SendAsync(request, Cancel);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Empty(_upstream.Received);
    }

    private async Task<SeenStream> StreamAsync(string path, string body)
    {
        try
        {
            using var response = await _gateway.Client.PostJsonAsync(path, body);
            Assert.True(response.IsSuccessStatusCode, response.IsSuccessStatusCode ? "" : await response.Content.ReadAsStringAsync(Cancel));
            return await SeenStream.ReadAsync(response, Cancel);
        }
        catch (HttpRequestException)
        {
            // On a busy machine, the abort may arrive before any part of the broken response.
            return new SeenStream([], Broken: true, "");
        }
    }

    private Task AnswerAsync(params string[] events)
    {
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, events);
        };
        return Task.CompletedTask;
    }

    private static List<JsonElement> Chunks(SeenStream stream) =>
        [.. stream.Events.Where(e => e.Data != "[DONE]").Select(e => JsonDocument.Parse(e.Data, NoDuplicates).RootElement)];

    private static string Text(List<JsonElement> chunks) => string.Concat(chunks.SelectMany(chunk => chunk.GetProperty("choices").EnumerateArray())
        .Select(choice => choice.GetProperty("delta").TryGetProperty("content", out var text) ? text.GetString() : null));

    private static List<string?> Reasons(List<JsonElement> chunks) => [.. chunks.SelectMany(chunk => chunk.GetProperty("choices").EnumerateArray())
        .Select(choice => choice.GetProperty("finish_reason").GetString()).Where(reason => reason is not null)];
}
