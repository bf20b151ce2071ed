using System.Buffers;
using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Providers.Gemini;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Providers.Gemini;

public sealed class GeminiRequestTests
{
    private static readonly JsonObject Weather = (JsonObject)JsonNode.Parse("""{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}""")!;

    private static readonly Tool WeatherTool = new("get_weather") { Description = "Weather of a city", Parameters = Weather };

    private static readonly Dictionary<string, (string Model, ConversationRequest Request)> Cases = new()
    {
        ["text"] = ("gemini-2.5-flash", InnerCall.Ask("Hello")),
        ["instructions"] = ("gemini-2.5-flash", new()
        {
            Messages =
            [
                Message.Of(Role.System, "Be brief."), Message.Of(Role.User, "Hi"), Message.Of(Role.Assistant, "Hello."),
                Message.Of(Role.Developer, "Speak French."), Message.Of(Role.User, "And now?"), Message.Of(Role.User, "Well?"),
            ],
        }),
        ["only-instructions"] = ("gemini-2.5-flash", new() { Messages = [Message.Of(Role.System, "Say hello.")] }),
        ["sampling"] = ("gemini-2.5-flash", InnerCall.Ask("Hi") with
        {
            Sampling = new() { Temperature = 0.5, TopP = 0.9, TopK = 40, Seed = 7, PresencePenalty = 1, FrequencyPenalty = -1, Stop = ["a", "b"], Logprobs = true, TopLogprobs = 3 },
            MaxOutputTokens = 100,
            ChoiceCount = 2,
        }),
        ["media"] = ("gemini-2.5-flash", new()
        {
            Messages =
            [
                new(Role.User,
                [
                    new TextPart("What is this?"), new ImagePart(null, "image/png", "AAAA"), new ImagePart("https://example.org/cat.jpg?x=1", null, null),
                    new AudioPart("wav", "BBBB"), new FilePart { FileName = "a.pdf", MediaType = "application/pdf", Data = "CCCC" },
                    new FilePart { Url = "https://example.org/b.pdf" }, new FilePart { Text = "plain", Title = "Notes" },
                ]),
            ],
        }),
        ["tools"] = ("gemini-2.5-flash", InnerCall.Ask("Weather?") with { Tools = [WeatherTool, new Tool("now")], ToolChoice = new(ToolChoiceMode.Auto) }),
        ["tool-choice-unset"] = ("gemini-2.5-flash", InnerCall.Ask("Weather?") with { Tools = [WeatherTool] }),
        ["tool-choice-none"] = ("gemini-2.5-flash", InnerCall.Ask("Weather?") with { Tools = [WeatherTool], ToolChoice = new(ToolChoiceMode.None) }),
        ["tool-choice-required"] = ("gemini-2.5-flash", InnerCall.Ask("Weather?") with { Tools = [WeatherTool], ToolChoice = new(ToolChoiceMode.Required) }),
        ["tool-choice-named"] = ("gemini-2.5-flash", InnerCall.Ask("Weather?") with { Tools = [WeatherTool, new Tool("now")], ToolChoice = new(ToolChoiceMode.Named, "now") }),
        ["tool-choice-allowed"] = ("gemini-2.5-flash", InnerCall.Ask("Weather?") with { Tools = [WeatherTool, new Tool("now")], ToolChoice = new(ToolChoiceMode.Auto) { Allowed = ["now"] } }),
        ["tool-strict"] = ("gemini-2.5-flash", InnerCall.Ask("Weather?") with { Tools = [WeatherTool with { Strict = true }] }),
        ["tool-results"] = ("gemini-2.5-flash", new()
        {
            Messages =
            [
                Message.Of(Role.User, "Weather in Rome and Oslo?"),
                new(Role.Assistant, [new TextPart("Let me see."), new ToolCallPart("c1", "get_weather", """{"city":"Rome"}"""), new ToolCallPart("c2", "get_weather", """{ "city": "Oslo" }""") { Signature = "sealed" }, new ToolCallPart("c3", "now", "")]),
                new(Role.Tool, [new ToolResultPart("c1", [new TextPart("""{"celsius":21}""")])]),
                new(Role.Tool, [new ToolResultPart("c2", [new TextPart("no such station")]) { IsError = true }]),
                new(Role.Tool, [new ToolResultPart("c3", [new TextPart("noon"), new ImagePart(null, "image/png", "AAAA")])]),
            ],
            Tools = [WeatherTool],
        }),
        ["tool-results-3"] = ("gemini-3.5-flash", new()
        {
            Messages =
            [
                Message.Of(Role.User, "Weather in Rome and Oslo?"),
                new(Role.Assistant, [new ToolCallPart("c1", "get_weather", """{"city":"Rome"}"""), new ToolCallPart("c2", "get_weather", """{"city":"Oslo"}""")]),
                new(Role.Tool, [new ToolResultPart("c1", [new TextPart("[1]")]), new ToolResultPart("c2", [new TextPart("cold")])]),
                new(Role.Assistant, [new ToolCallPart("c4", "get_weather", """{"city":"Bari"}""") { Signature = "sealed" }]),
                new(Role.Tool, [new ToolResultPart("c4", [new TextPart("mild")])]),
            ],
            Tools = [WeatherTool],
        }),
        ["json"] = ("gemini-2.5-flash", InnerCall.Ask("JSON") with { OutputFormat = new(OutputKind.Json) }),
        ["json-schema"] = ("gemini-3.5-flash", InnerCall.Ask("JSON") with { OutputFormat = new(OutputKind.JsonSchema) { Name = "w", Schema = Weather, Strict = true }, Tools = [WeatherTool] }),
        ["thinking-budget"] = ("gemini-2.5-flash", InnerCall.Ask("Think") with { Reasoning = new() { Effort = "medium" } }),
        ["thinking-off"] = ("gemini-2.5-flash", InnerCall.Ask("Think") with { Reasoning = new() { Effort = "none" } }),
        ["thinking-tokens"] = ("gemini-2.5-pro", InnerCall.Ask("Think") with { Reasoning = new() { BudgetTokens = 2_000, Mode = "enabled", Display = "omitted" } }),
        ["thinking-adaptive"] = ("gemini-2.5-pro", InnerCall.Ask("Think") with { Reasoning = new() { Mode = "adaptive" } }),
        ["thinking-level"] = ("gemini-3.1-pro-preview", InnerCall.Ask("Think") with { Reasoning = new() { Effort = "high" } }),
    };

    public static TheoryData<string> Names => [.. Cases.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Request_Mapped_MatchesGoldenFile(string name)
    {
        var (model, request) = Cases[name];
        GoldenFile.MatchesJson($"{name}.request.json", Write(request, model, out _));
    }

    [Fact]
    public void CountRequest_Mapped_WrapsRequestWithModel()
    {
        var output = new ArrayBufferWriter<byte>();
        GeminiRequestWriter.WriteCount(InnerCall.Ask("Hi"), GeminiModel.Parse("models/gemini-2.5-pro"), (_, _) => { }, output);
        GoldenFile.MatchesJson("count.request.json", Encoding.UTF8.GetString(output.WrittenSpan));
    }

    public static TheoryData<string, string, string> Refusals => new()
    {
        { "gemini-2.5-flash", "logit_bias", "logit_bias" },
        { "gemini-2.5-flash", "audio", "modalities" },
        { "gemini-2.5-flash", "stops", "stop" },
        { "gemini-2.5-flash", "choices", "n" },
        { "gemini-2.5-flash", "seed", "seed" },
        { "gemini-2.5-flash", "one tool at a time", "parallel_tool_calls" },
        { "gemini-2.5-flash", "tools and json", "response_format" },
        { "gemini-2.5-flash", "custom tool", "tools[0]" },
        { "gemini-2.5-flash", "file id", "messages[0].content" },
        { "gemini-2.5-flash", "field that matters", "web_search_options" },
        { "gemini-2.5-pro", "no thinking", "reasoning_effort" },
        { "gemini-3.1-pro-preview", "no thinking", "reasoning_effort" },
        { "gemini-2.0-flash", "thinking", "reasoning_effort" },
        { "gemma-3-27b-it", "thinking", "reasoning_effort" },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public void Request_FeatureModelDoesNotSupport_ReturnsUnsupportedParameter(string model, string what, string parameter)
    {
        var ask = InnerCall.Ask("Hi");
        var request = what switch
        {
            "logit_bias" => ask with { Sampling = new() { LogitBias = new Dictionary<string, double> { ["1"] = 2 } } },
            "audio" => ask with { Audio = new("alloy", "wav") },
            "stops" => ask with { Sampling = new() { Stop = ["1", "2", "3", "4", "5", "6"] } },
            "choices" => ask with { ChoiceCount = 9 },
            "seed" => ask with { Sampling = new() { Seed = 1L << 40 } },
            "one tool at a time" => ask with { Tools = [WeatherTool], ParallelToolCalls = false },
            "tools and json" => ask with { Tools = [WeatherTool], OutputFormat = new(OutputKind.Json) },
            "custom tool" => ask with { Tools = [new("x") { Kind = ToolKind.Custom }] },
            "file id" => new ConversationRequest { Messages = [new(Role.User, [new FilePart { FileId = "file-1" }])] },
            "field that matters" => ask with { Extra = new JsonObject { ["web_search_options"] = new JsonObject() } },
            "no thinking" => ask with { Reasoning = new() { Effort = "none" } },
            _ => ask with { Reasoning = new() { Effort = "low" } },
        };
        var error = Assert.Throws<GatewayErrorException>(() => Write(request, model, out _)).Error;
        Assert.Equal(ErrorCode.UnsupportedParameter, error.Code);
        Assert.Equal(parameter, error.Parameter);
    }

    [Fact]
    public void Request_WithUnsupportedHints_WarnsAndContinues()
    {
        Write(InnerCall.Ask("Hi") with { EndUser = "u", Verbosity = "low", Metadata = new Dictionary<string, string> { ["a"] = "b" }, Extra = new JsonObject { ["service_tier"] = "flex", ["store"] = null } }, "gemini-2.5-flash", out var warnings);
        Assert.Equal(["parameter_ignored", "parameter_ignored", "parameter_ignored", "parameter_ignored"], warnings);
    }

    [Theory]
    [InlineData("gemini-2.5-flash", 900_000)]
    [InlineData("gemini-3.5-flash", 2_000)]
    public void Request_ThinkingBudgetOutOfModelRange_WarnsParameterAdjusted(string model, int budget)
    {
        Write(InnerCall.Ask("Hi") with { Reasoning = new() { BudgetTokens = budget } }, model, out var warnings);
        Assert.Equal(["parameter_adjusted"], warnings);
    }

    [Theory]
    [InlineData("[1]")]
    [InlineData("{")]
    [InlineData("{} {}")]
    public void Request_ToolCallArgumentsNotAnObject_AreWrapped(string arguments)
    {
        var request = new ConversationRequest { Messages = [Message.Of(Role.User, "a"), new(Role.Assistant, [new ToolCallPart("c", "f", arguments)])] };
        Assert.Contains("invalid_arguments", Write(request, "gemini-2.5-flash", out _), StringComparison.Ordinal);
    }

    [Fact]
    public void Request_ToolResultForUnknownCall_ThrowsInvalidParameter()
    {
        var request = new ConversationRequest { Messages = [Message.Of(Role.User, "a"), new(Role.Tool, [new ToolResultPart("nope", [new TextPart("x")])])] };
        Assert.Equal(ErrorCode.InvalidParameter, Assert.Throws<GatewayErrorException>(() => Write(request, "gemini-2.5-flash", out _)).Error.Code);
    }

    [Theory]
    [InlineData("gemini-2.5-pro", 2, 5)]
    [InlineData("models/gemini-3.1-flash-lite", 3, 1)]
    [InlineData("gemini-3-pro", 3, 0)]
    [InlineData("gemini-4", 4, 0)]
    [InlineData("gemini-embedding-001", 0, 0)]
    [InlineData("gemini-99999999999-x", 0, 0)]
    [InlineData("gemini-", 0, 0)]
    [InlineData("gemma-3", 0, 0)]
    public void GeminiModel_Name_ParsesVersion(string name, int major, int minor)
    {
        var model = GeminiModel.Parse(name);
        Assert.Equal((major, minor), (model.Major, model.Minor));
    }

    private static string Write(ConversationRequest request, string model, out List<string> warnings)
    {
        var codes = new List<string>();
        var output = new ArrayBufferWriter<byte>();
        GeminiRequestWriter.Write(request, GeminiModel.Parse(model), (code, _) => codes.Add(code), output);
        warnings = codes;
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }
}
