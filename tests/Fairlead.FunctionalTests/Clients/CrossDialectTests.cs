using System.ClientModel;
using System.ClientModel.Primitives;
using System.Text;
using System.Text.Json;
using Anthropic;
using Anthropic.Exceptions;
using Anthropic.Models.Messages;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;
using OpenAI;
using OpenAI.Chat;

namespace Fairlead.FunctionalTests.Clients;

/// <summary>Official clients of one dialect on providers of another: what the client reads, and what the provider was asked.</summary>
public sealed class CrossDialectTests
{
    private const string Weather = """{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}""";

    private static readonly string[] AnthropicText =
    [
        """{"type":"message_start","message":{"id":"msg_up","type":"message","role":"assistant","model":"upstream-m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":1}}}""",
        """{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}""",
        """{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}""",
        """{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}""",
        """{"type":"content_block_stop","index":0}""",
        """{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":3}}""",
        """{"type":"message_stop"}""",
    ];

    private static readonly string[] AnthropicTool =
    [
        AnthropicText[0],
        """{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"get_weather","input":{}}}""",
        """{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"city\":"}}""",
        """{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"\"Oslo\"}"}}""",
        """{"type":"content_block_stop","index":0}""",
        """{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":3}}""",
        """{"type":"message_stop"}""",
    ];

    private static readonly string[] GeminiText =
    [
        """{"candidates":[{"content":{"parts":[{"text":"Hel"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":11}}""",
        """{"candidates":[{"content":{"parts":[{"text":"lo"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":3,"totalTokenCount":14}}""",
    ];

    private static readonly string[] GeminiTool =
    [
        """{"candidates":[{"content":{"parts":[{"functionCall":{"name":"get_weather","args":{"city":"Oslo"}}}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":3,"totalTokenCount":14}}""",
    ];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Anthropic_OnOpenAi_ReturnsResponse()
    {
        await using var scene = await Scene.StartAsync("openai");
        scene.Upstream.Answer = context => FakeUpstream.Json(context, FakeUpstream.Completion("Hello"));
        using var client = scene.Anthropic();
        var answer = await client.Messages.Create(Ask() with { System = "Be brief.", StopSequences = ["END"] }, Token);
        answer.Validate();
        Assert.True(Assert.Single(answer.Content).TryPickText(out var text));
        Assert.Equal("Hello", text.Text);
        Assert.Equal(StopReason.EndTurn, answer.StopReason!.Value());
        // Anthropic's input_tokens do not hold the cached ones; OpenAI's do.
        Assert.Equal((7, 4, 3), (answer.Usage.InputTokens, answer.Usage.CacheReadInputTokens, answer.Usage.OutputTokens));
        var asked = Assert.Single(scene.Upstream.Received);
        Assert.Equal("upstream-m", asked.GetProperty("model").GetString());
        Assert.Contains(asked.GetProperty("messages")[0].GetProperty("role").GetString(), new[] { "system", "developer" });
        Assert.Equal("END", asked.GetProperty("stop")[0].GetString());
        Assert.Equal(["/v1/chat/completions"], scene.Paths);
    }

    [Fact]
    public async Task Anthropic_OnOpenAi_Streams()
    {
        await using var scene = await Scene.StartAsync("openai");
        scene.Upstream.Answer = context => StreamAsync(
            context, FakeUpstream.Chunk("""{"role":"assistant","content":""}"""), FakeUpstream.Chunk("""{"content":"Hel"}"""), FakeUpstream.Chunk("""{"content":"lo"}"""), FakeUpstream.Chunk("{}", "length"), FakeUpstream.UsageChunk(), "[DONE]");
        using var client = scene.Anthropic();
        var seen = await SeenMessage.ReadAsync(client.Messages.CreateStreaming(Ask(), Token));
        Assert.Equal("Hello", seen.Text.ToString());
        Assert.Equal(StopReason.MaxTokens, seen.StopReason);
        Assert.Equal(3, seen.OutputTokens);
        Assert.True(seen.Started && seen.Stopped);
    }

    [Fact]
    public async Task Anthropic_OnOpenAi_CallsToolsAndSendsResults()
    {
        await using var scene = await Scene.StartAsync("openai");
        scene.Upstream.Answer = context => StreamAsync(
            context,
            FakeUpstream.Chunk("""{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get_weather","arguments":""}}]}"""),
            FakeUpstream.Chunk("""{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}"""),
            FakeUpstream.Chunk("""{"tool_calls":[{"index":0,"function":{"arguments":"\"Oslo\"}"}}]}"""),
            FakeUpstream.Chunk("{}", "tool_calls"),
            FakeUpstream.UsageChunk(),
            "[DONE]");
        using var client = scene.Anthropic();
        var schema = new InputSchema { Properties = new Dictionary<string, JsonElement> { ["city"] = JsonSerializer.SerializeToElement(new { type = "string" }) }, Required = ["city"] };
        var asking = Ask() with { Tools = [new Tool { Name = "get_weather", Description = "The weather", InputSchema = schema }] };
        var seen = await SeenMessage.ReadAsync(client.Messages.CreateStreaming(asking, Token));
        var use = Assert.Single(seen.Tools);
        Assert.Equal((StopReason.ToolUse, "get_weather", """{"city":"Oslo"}"""), (seen.StopReason, use.Name, seen.Input.ToString()));
        Assert.True(scene.Upstream.Received.TryDequeue(out var asked));
        Assert.Equal("get_weather", asked.GetProperty("tools")[0].GetProperty("function").GetProperty("name").GetString());
        Assert.Equal("string", asked.GetProperty("tools")[0].GetProperty("function").GetProperty("parameters").GetProperty("properties").GetProperty("city").GetProperty("type").GetString());

        scene.Upstream.Answer = context => FakeUpstream.Json(context, FakeUpstream.Completion("It is sunny."));
        var input = JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(seen.Input.ToString())!;
        var answer = await client.Messages.Create(
            asking with
            {
                Messages =
                [
                    .. asking.Messages,
                    new AssistantMessageParam(new List<ContentBlockParam> { new ToolUseBlockParam { ID = use.ID, Name = use.Name, Input = input } }),
                    new UserMessageParam(new List<ContentBlockParam> { new ToolResultBlockParam(use.ID) { Content = "sunny" } }),
                ],
            },
            Token);
        Assert.Equal(StopReason.EndTurn, answer.StopReason!.Value());
        Assert.True(scene.Upstream.Received.TryDequeue(out asked));
        var messages = asked.GetProperty("messages").EnumerateArray().ToList();
        Assert.Equal(["user", "assistant", "tool"], messages.Select(message => message.GetProperty("role").GetString()));
        Assert.Equal(messages[1].GetProperty("tool_calls")[0].GetProperty("id").GetString(), messages[2].GetProperty("tool_call_id").GetString());
    }

    [Fact]
    public async Task Anthropic_OnOpenAi_ReturnsAnthropicErrors()
    {
        await using var scene = await Scene.StartAsync("openai");
        scene.Upstream.Answer = context => FakeUpstream.Json(context, """{"error":{"message":"Rate limit reached for org-secret","type":"requests","code":"rate_limit_exceeded"}}""", 429);
        using var client = scene.Anthropic();
        var error = await Assert.ThrowsAsync<AnthropicRateLimitException>(() => client.Messages.Create(Ask(), Token));
        Assert.DoesNotContain("org-secret", error.ResponseBody, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("anthropic", "/v1/messages")]
    [InlineData("gemini", "/v1beta/models/upstream-m:generateContent")]
    public async Task OpenAi_OtherProvider_ReturnsResponse(string kind, string path)
    {
        await using var scene = await Scene.StartAsync(kind);
        scene.Upstream.Answer = context => FakeUpstream.Json(context, kind == "anthropic"
            ? """{"id":"msg_up","type":"message","role":"assistant","model":"upstream-m","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":3}}"""
            : """{"candidates":[{"content":{"parts":[{"text":"Hello"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":3,"totalTokenCount":14}}""");
        ChatCompletion answer = await scene.OpenAi().CompleteChatAsync(
            [new SystemChatMessage("Be brief."), new UserChatMessage("Hi")], new ChatCompletionOptions { MaxOutputTokenCount = 50, Temperature = 0.5f }, Token);
        Assert.Equal("Hello", answer.Content[0].Text);
        Assert.Equal(OpenAI.Chat.ChatFinishReason.Stop, answer.FinishReason);
        Assert.Equal((11, 3, "m"), (answer.Usage.InputTokenCount, answer.Usage.OutputTokenCount, answer.Model));
        Assert.Equal([path], scene.Paths);
        var asked = Assert.Single(scene.Upstream.Received);
        if (kind == "anthropic")
        {
            Assert.Equal(50, asked.GetProperty("max_tokens").GetInt32());
            Assert.Contains("Be brief.", asked.GetProperty("system").ToString(), StringComparison.Ordinal);
            Assert.Equal("user", Assert.Single(asked.GetProperty("messages").EnumerateArray()).GetProperty("role").GetString());
        }
        else
        {
            Assert.Equal(50, asked.GetProperty("generationConfig").GetProperty("maxOutputTokens").GetInt32());
            Assert.Contains("Be brief.", asked.GetProperty("systemInstruction").ToString(), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("anthropic")]
    [InlineData("gemini")]
    public async Task OpenAi_OtherProvider_StreamsResponse(string kind)
    {
        await using var scene = await Scene.StartAsync(kind);
        scene.Upstream.Answer = context => kind == "anthropic" ? NamedAsync(context, AnthropicText) : StreamAsync(context, GeminiText);
        var text = new StringBuilder();
        OpenAI.Chat.ChatFinishReason? finish = null;
        ChatTokenUsage? usage = null;
        await foreach (var update in scene.OpenAi().CompleteChatStreamingAsync([new UserChatMessage("Hi")], cancellationToken: Token))
        {
            foreach (var part in update.ContentUpdate) text.Append(part.Text);
            finish ??= update.FinishReason;
            usage = update.Usage ?? usage;
        }
        Assert.Equal("Hello", text.ToString());
        Assert.Equal(OpenAI.Chat.ChatFinishReason.Stop, finish);
        Assert.Equal((11, 3), (usage?.InputTokenCount, usage?.OutputTokenCount));
    }

    [Theory]
    [InlineData("anthropic")]
    [InlineData("gemini")]
    public async Task OpenAi_OtherProvider_CallsToolsAndSendsResults(string kind)
    {
        await using var scene = await Scene.StartAsync(kind);
        scene.Upstream.Answer = context => kind == "anthropic" ? NamedAsync(context, AnthropicTool) : StreamAsync(context, GeminiTool);
        var options = new ChatCompletionOptions { Tools = { ChatTool.CreateFunctionTool("get_weather", "The weather", BinaryData.FromString(Weather)) } };
        var arguments = new StringBuilder();
        string? id = null, name = null;
        OpenAI.Chat.ChatFinishReason? finish = null;
        await foreach (var update in scene.OpenAi().CompleteChatStreamingAsync([new UserChatMessage("Weather in Oslo?")], options, Token))
        {
            foreach (var call in update.ToolCallUpdates)
            {
                id ??= call.ToolCallId;
                name ??= call.FunctionName;
                if (call.FunctionArgumentsUpdate is { } piece && piece.ToMemory().Length > 0) arguments.Append(piece);
            }
            finish ??= update.FinishReason;
        }
        Assert.Equal((OpenAI.Chat.ChatFinishReason.ToolCalls, "get_weather"), (finish, name));
        using (var parsed = JsonDocument.Parse(arguments.ToString())) Assert.Equal("Oslo", parsed.RootElement.GetProperty("city").GetString());
        Assert.True(scene.Upstream.Received.TryDequeue(out var asked));
        Assert.Contains("get_weather", asked.GetProperty("tools").ToString(), StringComparison.Ordinal);

        scene.Upstream.Answer = context => kind == "anthropic" ? NamedAsync(context, AnthropicText) : StreamAsync(context, GeminiText);
        var again = new List<ChatMessage>
        {
            new UserChatMessage("Weather in Oslo?"),
            new AssistantChatMessage([ChatToolCall.CreateFunctionToolCall(id, name, BinaryData.FromString(arguments.ToString()))]),
            new ToolChatMessage(id, "sunny"),
        };
        var text = new StringBuilder();
        await foreach (var update in scene.OpenAi().CompleteChatStreamingAsync(again, options, Token))
        {
            foreach (var part in update.ContentUpdate) text.Append(part.Text);
        }
        Assert.Equal("Hello", text.ToString());
        Assert.True(scene.Upstream.Received.TryDequeue(out asked));
        var turns = asked.GetProperty(kind == "anthropic" ? "messages" : "contents").EnumerateArray().ToList();
        Assert.Equal(3, turns.Count);
        var (use, result) = kind == "anthropic" ? (turns[1].GetProperty("content")[0], turns[2].GetProperty("content")[0]) : (turns[1].GetProperty("parts")[0], turns[2].GetProperty("parts")[0]);
        if (kind == "anthropic")
        {
            Assert.Equal(("tool_use", "tool_result"), (use.GetProperty("type").GetString(), result.GetProperty("type").GetString()));
            Assert.Equal(use.GetProperty("id").GetString(), result.GetProperty("tool_use_id").GetString());
        }
        else
        {
            Assert.Equal("get_weather", use.GetProperty("functionCall").GetProperty("name").GetString());
            Assert.Equal("get_weather", result.GetProperty("functionResponse").GetProperty("name").GetString());
        }
    }

    [Theory]
    [InlineData("anthropic")]
    [InlineData("gemini")]
    public async Task OpenAi_TruncatedStreamFromOtherProvider_Throws(string kind)
    {
        await using var scene = await Scene.StartAsync(kind);
        // The cut may overtake what was sent before it, so it waits until the client has read that.
        var read = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        scene.Upstream.Answer = async context =>
        {
            if (kind == "anthropic") await NamedAsync(context, AnthropicText[..3]);
            else await StreamAsync(context, GeminiText[..1]);
            await read.Task;
            FakeUpstream.Cut(context);
        };
        var text = new StringBuilder();
        await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            await foreach (var update in scene.OpenAi().CompleteChatStreamingAsync([new UserChatMessage("Hi")], cancellationToken: Token))
            {
                foreach (var part in update.ContentUpdate) text.Append(part.Text);
                if (text.Length > 0) read.TrySetResult();
            }
        });
        Assert.Equal("Hel", text.ToString());
    }

    private static MessageCreateParams Ask() => new() { Model = "m", MaxTokens = 50, Messages = [new UserMessageParam("Hi")] };

    private static async Task StreamAsync(HttpContext context, params string[] data)
    {
        await FakeUpstream.BeginAsync(context);
        await FakeUpstream.SendAsync(context, data);
    }

    private static async Task NamedAsync(HttpContext context, params string[] data)
    {
        await FakeUpstream.BeginAsync(context);
        foreach (var one in data)
        {
            using var json = JsonDocument.Parse(one);
            await context.Response.WriteAsync($"event: {json.RootElement.GetProperty("type").GetString()}\n", context.RequestAborted);
            await FakeUpstream.SendAsync(context, one);
        }
    }

    private sealed class Scene(FakeUpstream upstream, TestGateway gateway) : IAsyncDisposable
    {
        public FakeUpstream Upstream => upstream;

        /// <summary>Paths the provider was asked at.</summary>
        public IEnumerable<string> Paths => upstream.Paths;

        public static async Task<Scene> StartAsync(string kind)
        {
            var upstream = await FakeUpstream.StartAsync();
            var yaml = upstream.Yaml().Replace("kind: openai", $"kind: {kind}", StringComparison.Ordinal);
            if (kind != "openai") yaml = yaml.Replace($"{upstream.Url}/v1", upstream.Url, StringComparison.Ordinal);
            return new Scene(upstream, await TestGateway.StartAsync(yaml));
        }

        public AnthropicClient Anthropic() => new() { ApiKey = gateway.Key, BaseUrl = gateway.Url, MaxRetries = 0, ResponseValidation = true };

        public ChatClient OpenAi() =>
            new("m", new ApiKeyCredential(gateway.Key), new OpenAIClientOptions { Endpoint = new Uri(gateway.Url + "/v1"), RetryPolicy = new ClientRetryPolicy(0) });

        public async ValueTask DisposeAsync()
        {
            await gateway.DisposeAsync();
            await upstream.DisposeAsync();
        }
    }
}
