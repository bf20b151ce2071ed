using Fairlead.Pipeline;
using System.Buffers;
using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Providers;
using Fairlead.Providers.OpenAi;
using Fairlead.Tests.Common;
using Fairlead.TokenCounting;

namespace Fairlead.Tests.Providers.OpenAi;

public class OpenAiTranslationTests
{
    private static readonly OpenAiEndpoint OpenAi = new(new ProviderConfig { Kind = "openai" });
    private static readonly OpenAiEndpoint Vllm = new(new ProviderConfig { Kind = "vllm" });
    private static readonly CatalogueModel Reasoner = new() { Id = "m", OwnedBy = "t", Capabilities = new ModelCapabilities { Reasoning = true, ReasoningEfforts = ["low", "medium", "high"] } };

    private static readonly JsonObject Schema = (JsonObject)JsonNode.Parse("""{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}""")!;

    [Fact]
    public void Write_FullConversation_MatchesGoldenFile()
    {
        var request = new ConversationRequest
        {
            Messages =
            [
                Message.Of(Role.System, "Be brief."),
                Message.Of(Role.Developer, "Use tools."),
                new Message(Role.User, [new TextPart("What is it?"), new ImagePart(null, "image/png", "aGk=") { Detail = "low" }, new ImagePart("https://example.com/a.png", null, null), new AudioPart("wav", "aGk=")]),
                new Message(Role.User, [new FilePart { MediaType = "application/pdf", Data = "aGk=", Title = "Report", Context = "Of 2026." }, new FilePart { Text = "plain", Title = "Note" }]),
                new Message(Role.Assistant, [new ReasoningPart("hm", "sealed"), new TextPart("Let me see."), new ToolCallPart("call_1", "weather", "{\"city\":\"Kiel\"}"), new ToolCallPart("call_2", "weather", "{\"city\":\"Bonn\"}")]),
                new Message(Role.Tool, [new ToolResultPart("call_1", [new TextPart("12 °C")]), new ToolResultPart("call_2", [new TextPart("none"), new ImagePart(null, "image/png", "aGk=")]) { IsError = true }]),
            ],
            Tools = [new Tool("weather") { Description = "Weather", Parameters = Schema, Strict = true }, new Tool("note") { Kind = ToolKind.Custom, Description = "Note" }],
            ToolChoice = new ToolChoice(ToolChoiceMode.Named, "weather"),
            ParallelToolCalls = false,
            OutputFormat = new OutputFormat(OutputKind.JsonSchema) { Name = "answer", Schema = Schema, Strict = true },
            Sampling = new Sampling { Temperature = 0.5, TopP = 0.9, TopK = 40, FrequencyPenalty = 0.1, PresencePenalty = -0.1, Seed = 7, Stop = ["END"], Logprobs = true, TopLogprobs = 2, LogitBias = new Dictionary<string, double> { ["50256"] = -100 } },
            MaxOutputTokens = 100,
            ChoiceCount = 2,
            Reasoning = new Reasoning { Mode = "enabled", BudgetTokens = 5000 },
            EndUser = "u1",
            Verbosity = "low",
        };
        var warnings = new List<string>();
        GoldenFile.MatchesJson("request.openai.json", Write(request, OpenAi, warnings, stream: true));
        Assert.Contains(warnings, w => w.Contains("top_k", StringComparison.Ordinal));
        Assert.Contains(warnings, w => w.Contains("Thinking", StringComparison.Ordinal));
        Assert.Contains(warnings, w => w.Contains("budget", StringComparison.Ordinal));
        Assert.Equal(3, warnings.Count);
    }

    [Fact]
    public void Write_OpenAiCompatibleServer_UsesOlderFieldNames()
    {
        var request = InnerCall.Ask("hi") with
        {
            Messages = [Message.Of(Role.Developer, "Be brief."), Message.Of(Role.User, "hi")],
            Sampling = new Sampling { TopK = 5 },
            MaxOutputTokens = 9,
            EndUser = "u",
            Tools = [new Tool("a"), new Tool("b")],
            ToolChoice = new ToolChoice(ToolChoiceMode.Auto) { Allowed = ["b"] },
        };
        var warnings = new List<string>();
        Assert.Equal(
            """{"model":"up","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}],"max_tokens":9,"top_k":5,"tools":[{"type":"function","function":{"name":"b"}}],"tool_choice":"auto","user":"u"}""",
            Write(request, Vllm, warnings));
        Assert.Empty(warnings);
    }

    [Theory]
    [InlineData(nameof(ToolChoiceMode.None), "\"none\"")]
    [InlineData(nameof(ToolChoiceMode.Auto), "\"auto\"")]
    [InlineData(nameof(ToolChoiceMode.Required), "\"required\"")]
    public void Write_ToolChoice_IsMapped(string mode, string expected)
    {
        var body = JsonNode.Parse(Write(InnerCall.Ask("hi") with { Tools = [new Tool("a")], ToolChoice = new ToolChoice(Enum.Parse<ToolChoiceMode>(mode)) }, OpenAi, []))!;
        Assert.Equal(expected, body["tool_choice"]!.ToJsonString());
    }

    [Fact]
    public void Write_AllowedToolsForOpenAi_UsesAllowedToolsChoice()
    {
        var request = InnerCall.Ask("hi") with { Tools = [new Tool("a"), new Tool("b")], ToolChoice = new ToolChoice(ToolChoiceMode.Required) { Allowed = ["b"] } };
        var body = JsonNode.Parse(Write(request, OpenAi, []))!;
        Assert.Equal("""{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"b"}}]}}""", body["tool_choice"]!.ToJsonString());
        Assert.Equal(2, body["tools"]!.AsArray().Count);
    }

    [Theory]
    [InlineData("xhigh", "high", 1)]
    [InlineData("medium", "medium", 0)]
    public void Write_ReasoningEffort_IsMappedToSupportedValue(string asked, string expected, int warned)
    {
        var warnings = new List<string>();
        var body = JsonNode.Parse(Write(InnerCall.Ask("hi") with { Reasoning = new Reasoning { Effort = asked } }, OpenAi, warnings))!;
        Assert.Equal(expected, body["reasoning_effort"]!.GetValue<string>());
        Assert.Equal(warned, warnings.Count);
    }

    public static TheoryData<string> Unsendable => ["url", "file", "stops", "custom", "echo"];

    [Theory]
    [MemberData(nameof(Unsendable))]
    public void Write_FeatureOpenAiServerDoesNotSupport_IsRefused(string what)
    {
        var ask = InnerCall.Ask("hi");
        var (request, endpoint) = what switch
        {
            "url" => (ask with { Messages = [new Message(Role.User, [new FilePart { Url = "https://example.com/a.pdf" }])] }, OpenAi),
            "file" => (ask with { Messages = [new Message(Role.User, [new FilePart { FileId = "file_1" }])] }, OpenAi),
            "stops" => (ask with { Sampling = new Sampling { Stop = ["a", "b", "c", "d", "e"] } }, OpenAi),
            "custom" => (ask with { Tools = [new Tool("a") { Kind = ToolKind.Custom }] }, Vllm),
            _ => (ask with { Extra = new JsonObject { ["echo"] = true } }, OpenAi),
        };
        var refused = Assert.Throws<GatewayErrorException>(() => Write(request, endpoint, [], sameFamily: what == "echo"));
        Assert.Equal(ErrorCode.UnsupportedParameter, refused.Error.Code);
    }

    [Fact]
    public void Write_ExtraFields_AreDroppedWithWarningUnlessSameFamily()
    {
        var request = InnerCall.Ask("hi") with { Extra = new JsonObject { ["service_tier"] = "auto" } };
        var warnings = new List<string>();
        Assert.DoesNotContain("service_tier", Write(request, OpenAi, warnings), StringComparison.Ordinal);
        Assert.Contains("service_tier", Assert.Single(warnings), StringComparison.Ordinal);
        Assert.Contains("\"service_tier\":\"auto\"", Write(request, OpenAi, [], sameFamily: true), StringComparison.Ordinal);
    }

    [Fact]
    public void Read_FullResponse_ReadsEveryField()
    {
        const string body = """
            {"id":"c","object":"chat.completion","created":1,"model":"gpt-x-1","system_fingerprint":"fp","service_tier":"default","choices":[
             {"index":0,"message":{"role":"assistant","content":"Hé","reasoning_content":"hm","refusal":null,"annotations":[{"type":"url_citation"}]},"finish_reason":"length",
              "logprobs":{"content":[{"token":"H","logprob":-0.5,"bytes":[72],"top_logprobs":[{"token":"J","logprob":-2.5,"bytes":null}]}],"refusal":null}},
             {"index":1,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"call_b","type":"custom","custom":{"name":"g","input":"x"}}]},"finish_reason":"stop"},
             {"index":2,"message":{"role":"assistant","content":null,"refusal":"No."},"finish_reason":"content_filter"}],
             "usage":{"prompt_tokens":20,"completion_tokens":10,"total_tokens":30,"prompt_tokens_details":{"cached_tokens":8,"cache_write_tokens":2},"completion_tokens_details":{"reasoning_tokens":4}}}
            """;
        var meter = new OutputMeter();
        var answer = OpenAiChatResponseReader.Read(Encoding.UTF8.GetBytes(body), meter, [])!;
        Assert.Equal("fp", answer.SystemFingerprint);
        Assert.Equal([new ReasoningPart("hm", null), new TextPart("Hé")], answer.Choices[0].Parts);
        Assert.Equal(FinishReason.Length, answer.Choices[0].FinishReason);
        Assert.Equal([72], answer.Choices[0].Logprobs![0].Bytes!);
        Assert.Equal("J", answer.Choices[0].Logprobs![0].Top[0].Token);
        Assert.Single(answer.Choices[0].Annotations!);
        Assert.Equal([new ToolCallPart("call_a", "f", "{}"), new ToolCallPart("call_b", "g", "x") { Kind = ToolKind.Custom }], answer.Choices[1].Parts);
        Assert.Equal(FinishReason.ToolCalls, answer.Choices[1].FinishReason);
        Assert.Equal([new RefusalPart("No.")], answer.Choices[2].Parts);
        Assert.Equal((20, 10, 8, 2, 4), (meter.Reported!.Value.InputTokens, meter.Reported.Value.OutputTokens, meter.Reported.Value.CachedInputTokens, meter.Reported.Value.CacheWriteTokens, meter.Reported.Value.ReasoningTokens));
        Assert.Equal(FinishReason.ContentFilter, meter.FinishReason);
        Assert.Equal(3, meter.FinishedChoices);
        Assert.Equal("gpt-x-1", meter.UpstreamModel);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"choices":[]}""")]
    [InlineData("""{"choices":[{"index":0}]}""")]
    [InlineData("""{"choices":[{"message":{"content":"\ud800"}}]}""")]
    [InlineData("""{"choices":[{"message":{"content":"cut"},"finish_reason":"insufficient_system_resource"}]}""")]
    public void Read_BodyWithoutChoices_ReturnsNull(string body) => Assert.Null(OpenAiChatResponseReader.Read(Encoding.UTF8.GetBytes(body), new OutputMeter(), []));

    public static TheoryData<string, string[], string[]> Streams => new()
    {
        {
            "parallel tools",
            [
                """{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}}]}""",
                """{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{"}}]}}]}""",
                """{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}},{"index":1,"function":{"arguments":"}"}}]}}]}""",
                """{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}""",
            ],
            ["0 started", "0 call 0 a f []", "0 call 1 b g []", "0 arguments 1 {", "0 arguments 0 {}", "0 arguments 1 }", "0 finished ToolCalls"]
        },
        {
            "whole calls without index, finished with stop",
            [
                """{"choices":[{"index":0,"delta":{"role":"assistant","content":"","tool_calls":[{"id":"a","function":{"name":"f","arguments":{"x":1}}}]}}]}""",
                """{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"b","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}]}""",
            ],
            ["0 started", "0 call 0 a f []", "0 arguments 0 {\"x\":1}", "0 call 1 b f []", "0 arguments 1 {}", "0 finished ToolCalls"]
        },
        {
            "reasoning in both names, refusal, two finishes",
            [
                """{"choices":[{"index":0,"delta":{"reasoning_content":"a"}}]}""",
                """{"choices":[{"index":0,"delta":{"reasoning":"b"}}]}""",
                """{"choices":[{"index":0,"delta":{"refusal":"No."}}]}""",
                """{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}""",
                """{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":4,"completion_tokens":3,"completion_tokens_details":{"reasoning_tokens":2}}}""",
            ],
            ["0 started", "0 reasoning \"a\" []", "0 reasoning \"b\" []", "0 refusal No.", "0 finished Stop", "0 usage in=4 cached=0 out=3 reasoning=2 measured"]
        },
        {
            "broken off by the server",
            [
                """{"choices":[{"index":0,"delta":{"content":"a"}}]}""",
                """{"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}""",
            ],
            ["0 started", "0 text \"a\"", "0 failed provider_error: The model's provider stopped before the response was complete."]
        },
        {
            "malformed between, filter at the end",
            [
                """{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}""",
                """{"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-1,"top_logprobs":[]}]}}]}""",
                "{oops",
                """{"choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}""",
            ],
            ["0 started", "0 text \"a\" a=-1()", "0 finished ContentFilter"]
        },
    };

    [Theory]
    [MemberData(nameof(Streams))]
    public async Task Stream_Chunks_BecomeEvents(string name, string[] chunks, string[] expected)
    {
        Assert.NotEmpty(name);
        var token = TestContext.Current.CancellationToken;
        await using var upstream = await FakeUpstream.StreamingAsync([.. chunks.Select(c => $"data: {c}\n\n"), "data: [DONE]\n\n"]);
        var provider = upstream.Provider();
        var reply = await provider.SendAsync(InnerCall.Of(InnerCall.Ask("hi"), stream: true), InnerCall.AttemptAt(provider, "m"), token);
        var events = await InnerCall.ReadAllAsync(Assert.IsType<GatewayReply.Streaming>(reply).Events, token);
        Assert.Equal(expected, EventText.Of(events).Select(e => e!.GetValue<string>()));
    }

    private static string Write(ConversationRequest request, OpenAiEndpoint endpoint, List<string> warnings, bool stream = false, bool sameFamily = false)
    {
        var output = new ArrayBufferWriter<byte>();
        void Warn(string code, string message)
        {
            if (!warnings.Contains(message)) warnings.Add(message);
        }
        new OpenAiChatRequestWriter(request, Reasoner, endpoint, Warn, sameFamily).Write("up", stream, output);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }
}
