using System.Net;
using System.Text;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Quirks;

/// <summary>
/// One classifier of provider errors: the same error gives the same code for every client dialect, whole or streamed, by its status, as a body behind a good status, as the
/// first event of a stream and in the middle of one.
/// </summary>
public sealed class ProviderErrorTests(ProviderErrorFixture fixture) : IClassFixture<ProviderErrorFixture>
{
    private static readonly string[] Clients = ["chat", "messages", "responses", "v2"];

    // Provider, status, body, code, and whether the body alone identifies the code, without the status.
    private static readonly (string Vendor, int Status, string Body, string Code, bool Tells)[] Table =
    [
        // Overflows of the context window, in the words of the servers.
        ("openai", 400, """{"error":{"message":"Your input exceeds the context window of this model. Please adjust your input and try again.","type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}""", "context_length_exceeded", true),
        ("azure", 400, """{"error":{"message":"This model's maximum context length is 8192 tokens, however you requested 9000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}""", "context_length_exceeded", true),
        ("anthropic", 400, """{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"},"request_id":"req_1"}""", "context_length_exceeded", true),
        ("anthropic", 400, """{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 195000 + 10000 > 200000, decrease input length or `max_tokens` and try again"}}""", "context_length_exceeded", true),
        ("gemini", 400, """{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}""", "context_length_exceeded", true),
        ("llama.cpp", 400, """{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":8192}}""", "context_length_exceeded", true),
        ("llama.cpp", 500, """{"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}""", "context_length_exceeded", true),
        ("vllm", 400, """{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages.","type":"BadRequestError","param":null,"code":400}""", "context_length_exceeded", true),
        ("vllm", 400, """{"error":{"message":"The decoder prompt (length 5000) is longer than the maximum model length of 4096.","type":"BadRequestError","param":null,"code":400}}""", "context_length_exceeded", true),
        ("ollama", 500, """{"error":"the input length exceeds the context length"}""", "context_length_exceeded", true),
        ("ollama", 400, """{"error":{"message":"prompt is longer than the context length","type":"invalid_request_error","param":null,"code":null}}""", "context_length_exceeded", true),
        ("mistral", 400, """{"object":"error","message":"Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length","type":"invalid_request_prompt_tokens","param":null,"code":"3051"}""", "context_length_exceeded", true),
        ("deepseek", 400, """{"error":{"message":"This model's maximum context length is 65536 tokens. However, you requested 70000 tokens (66000 in the messages, 4000 in the completion). Please reduce the length of the messages or completion.","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}""", "context_length_exceeded", true),
        ("groq", 400, """{"error":{"message":"Please reduce the length of the messages or completion.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}""", "context_length_exceeded", true),
        ("openrouter", 400, """{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"prompt is too long: 9 tokens > 8 maximum\"}}","provider_name":"x"}}}""", "context_length_exceeded", true),
        ("lm-studio", 400, """{"error":"Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens."}""", "context_length_exceeded", true),
        ("xai", 400, """{"code":"Client specified an invalid argument","error":"This model's maximum prompt length is 131072 but the request contains 200000 tokens."}""", "context_length_exceeded", true),
        // The provider's own limits.
        ("openai", 429, """{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}""", "rate_limit_exceeded", true),
        ("azure", 429, """{"error":{"code":"429","message":"Requests have exceeded the call rate limit."}}""", "rate_limit_exceeded", true),
        ("anthropic", 429, """{"type":"error","error":{"type":"rate_limit_error","message":"Number of request tokens has exceeded your per-minute rate limit"}}""", "rate_limit_exceeded", true),
        ("anthropic", 429, """{"type":"error","error":{"type":"rate_limit_error","message":"Too many tokens, please wait before trying again."}}""", "rate_limit_exceeded", true),
        ("gemini", 429, """{"error":{"code":429,"message":"Resource has been exhausted (e.g. check quota).","status":"RESOURCE_EXHAUSTED"}}""", "rate_limit_exceeded", true),
        ("mistral", 429, """{"object":"error","message":"Rate limit exceeded","type":"rate_limited","param":null,"code":"1300"}""", "rate_limit_exceeded", true),
        ("openrouter", 429, """{"error":{"code":429}}""", "rate_limit_exceeded", true),
        ("openrouter", 429, """{"error":{"code":429,"message":"Rate limited"},"user_id":"u"}""", "rate_limit_exceeded", true),
        ("groq", 429, """{"error":{"message":"Rate limit reached for model","type":"tokens","code":"rate_limit_exceeded"}}""", "rate_limit_exceeded", true),
        // No room.
        ("anthropic", 529, """{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}""", "provider_unavailable", true),
        ("gemini", 503, """{"error":{"code":503,"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}""", "provider_unavailable", true),
        ("openrouter", 502, """{"error":{"code":502,"message":"Your chosen model is down"}}""", "provider_unavailable", true),
        ("groq", 498, """{"error":{"message":"Flex tier capacity exceeded","type":"internal_server_error","code":"capacity_exceeded"}}""", "provider_unavailable", true),
        ("mistral", 429, """{"object":"error","message":"Service tier capacity exceeded for this model.","type":"service_tier_capacity_exceeded","param":null,"code":"3505"}""", "rate_limit_exceeded", false),
        ("deepseek", 402, """{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}""", "provider_unavailable", true),
        ("openai", 429, """{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}""", "provider_unavailable", true),
        // The operator's key, model or address: never the caller's, and not better later.
        ("openai", 401, """{"error":{"message":"Incorrect API key provided: sk-proj-1234.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}""", "provider_error!", true),
        ("azure", 401, """{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}}""", "provider_error!", true),
        ("anthropic", 401, """{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}""", "provider_error!", true),
        ("gemini", 400, """{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}""", "provider_error!", true),
        ("mistral", 401, """{"detail":"Unauthorized"}""", "provider_error!", false),
        ("deepseek", 401, """{"error":{"message":"Authentication Fails (no such user)","type":"authentication_error","param":null,"code":"invalid_request_error"}}""", "provider_error!", true),
        ("openrouter", 401, """{"error":{"code":401,"message":"No auth credentials found"}}""", "provider_error!", true),
        ("openai", 403, """{"error":{"message":"Project does not have access to model","type":"invalid_request_error","param":null,"code":"model_not_found"}}""", "provider_error!", true),
        ("openrouter", 403, """{"error":{"code":403,"message":"Your chosen model requires moderation and your input was flagged for \"violence\"","metadata":{"reasons":["violence"]}}}""", "provider_rejected", true),
        // What the provider refuses in the request.
        ("openai", 400, """{"error":{"message":"Unsupported value: 'temperature' does not support 0.7 with this model.","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}""", "provider_rejected", true),
        ("mistral", 422, """{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","foo"],"msg":"Extra inputs are not permitted"}]},"type":"invalid_request_error","param":null,"code":null}""", "provider_rejected", true),
        ("vllm", 400, """{"error":{"message":"1 validation error","type":"BadRequestError","param":null,"code":"400"}}""", "provider_rejected", true),
        // Broken.
        ("vllm", 500, """{"error":{"message":"EngineCore encountered an issue","type":"InternalServerError","param":null,"code":500}}""", "provider_error", true),
        ("lm-studio", 500, """{"error":"The model has crashed without additional information. (Exit code: null)"}""", "provider_error", true),
    ];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<int, string> Rows
    {
        get
        {
            var rows = new TheoryData<int, string>();
            for (var i = 0; i < Table.Length; i++)
            {
                foreach (var client in Clients) rows.Add(i, client);
            }
            return rows;
        }
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public async Task ProviderError_EveryPath_HasSameCode(int row, string client)
    {
        var (vendor, status, body, code, tells) = Table[row];
        var model = vendor is "anthropic" or "gemini" ? vendor : "openai";
        fixture.Upstream.Answer = context => FakeUpstream.Json(context, body, status);
        await SeeAsync("as a status, whole", await AskAsync(client, model, stream: false), code);
        await SeeAsync("as a status, streamed", await AskAsync(client, model, stream: true), code);
        if (!tells) return;
        fixture.Upstream.Answer = context => FakeUpstream.Json(context, body);
        await SeeAsync("behind 200, whole", await AskAsync(client, model, stream: false), code);
        await SeeAsync("behind 200, streamed", await AskAsync(client, model, stream: true), code);
        fixture.Upstream.Answer = context => StreamAsync(context, body);
        await SeeAsync("as the first event", await AskAsync(client, model, stream: true), code);
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public async Task ProviderError_MidStream_EndsStreamWithError(int row, string client)
    {
        var (vendor, _, body, _, tells) = Table[row];
        // The translated stream of a server of OpenAI's kind, or the native one, by the client.
        if (!tells || vendor is "anthropic" or "gemini" || client == "responses") return;
        fixture.Upstream.Answer = context => StreamAsync(context, FakeUpstream.Chunk("""{"role":"assistant","content":"begun"}"""), body);
        using var response = await AskAsync(client, "openai", stream: true);
        var seen = await SeenStream.ReadAsync(response, Cancel);
        Assert.Contains("begun", seen.Raw, StringComparison.Ordinal);
        Assert.Contains("error", seen.Events[^1].Data, StringComparison.Ordinal);
        Assert.DoesNotContain("[DONE]", seen.Raw, StringComparison.Ordinal);
        Assert.DoesNotContain("\"outcome\":\"complete\"", seen.Raw, StringComparison.Ordinal);
        Assert.DoesNotContain("sk-proj", seen.Raw, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ContextOverflow_MessagesClient_ReturnsPromptTooLong()
    {
        fixture.Upstream.Answer = context => FakeUpstream.Json(context, """{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}""", 400);
        using var response = await AskAsync("messages", "openai", stream: false);
        Assert.Contains("prompt is too long", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
    }

    [Fact]
    public async Task ProviderRejectsApiKey_Response_SetsShouldRetryFalse()
    {
        fixture.Upstream.Answer = context => FakeUpstream.Json(context, """{"error":{"message":"no","code":"invalid_api_key"}}""", 401);
        using var response = await AskAsync("chat", "openai", stream: false);
        Assert.Equal(HttpStatusCode.BadGateway, response.StatusCode);
        Assert.Equal("false", response.Headers.GetValues("x-should-retry").Single());
    }

    private static async Task SeeAsync(string how, HttpResponseMessage response, string code)
    {
        using (response)
        {
            var text = await response.Content.ReadAsStringAsync(Cancel);
            var wanted = code.TrimEnd('!');
            Assert.True(text.Contains($"\"code\":\"{wanted}\"", StringComparison.Ordinal), $"{how}: {(int)response.StatusCode} {text}");
            if (code.EndsWith('!') && response.StatusCode != HttpStatusCode.OK) Assert.True(text.Contains("\"retryable\":false", StringComparison.Ordinal), $"{how}: {text}");
            Assert.DoesNotContain("sk-proj", text, StringComparison.Ordinal);
        }
    }

    private static async Task StreamAsync(HttpContext context, params string[] events)
    {
        await FakeUpstream.BeginAsync(context);
        await FakeUpstream.SendAsync(context, events);
    }

    private Task<HttpResponseMessage> AskAsync(string client, string model, bool stream)
    {
        var (path, body) = client switch
        {
            "chat" => ("/v1/chat/completions", $$"""{"model":"{{model}}","messages":[{"role":"user","content":"hi"}],"stream":{{(stream ? "true" : "false")}}}"""),
            "messages" => ("/v1/messages", $$"""{"model":"{{model}}","max_tokens":50,"messages":[{"role":"user","content":"hi"}],"stream":{{(stream ? "true" : "false")}}}"""),
            "responses" => ("/v1/responses", $$"""{"model":"{{model}}","input":"hi","store":false,"stream":{{(stream ? "true" : "false")}}}"""),
            _ => ("/v2/generations", $$$"""{"model":"{{{model}}}","input":"hi","delivery":{"mode":"{{{(stream ? "stream" : "sync")}}}"}}"""),
        };
        var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        return fixture.Gateway.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
    }
}

/// <summary>A gateway whose providers of three kinds all are one server.</summary>
public sealed class ProviderErrorFixture : IAsyncLifetime
{
    public FakeUpstream Upstream { get; private set; } = null!;

    public TestGateway Gateway { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Upstream = await FakeUpstream.StartAsync();
        const string Model = "contextWindow: 8000, maxOutputTokens: 2000, tokenizer: o200k, prices: { input: 1, output: 10 }, capabilities: { tools: true }";
        Gateway = await TestGateway.StartAsync(
            $$"""
            fairlead:
              retry: { maxRetries: 0 }
              breaker: { enabled: false }
              providers:
                oa: { kind: openai, baseUrl: {{Upstream.Url}}/v1, apiKey: k }
                an: { kind: anthropic, baseUrl: {{Upstream.Url}}, apiKey: k }
                ge: { kind: gemini, baseUrl: {{Upstream.Url}}, apiKey: k }
              models:
                openai: { {{Model}}, deployments: [{ provider: oa, model: gpt-up }] }
                anthropic: { {{Model}}, deployments: [{ provider: an, model: claude-up }] }
                gemini: { {{Model}}, deployments: [{ provider: ge, model: gemini-2.5-flash }] }
            """);
    }

    public async ValueTask DisposeAsync()
    {
        await Gateway.DisposeAsync();
        await Upstream.DisposeAsync();
    }
}
