using System.Buffers;
using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers.Anthropic;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Providers.Anthropic;

/// <summary>Each row of the mapping from chat, as the body that goes to the API.</summary>
public sealed class AnthropicRequestTests
{
    internal static readonly CatalogueModel Model = new()
    {
        Id = "m",
        OwnedBy = "anthropic",
        MaxOutputTokens = 64_000,
        Capabilities = new ModelCapabilities { Reasoning = true },
    };

    private static readonly Tool LookUp = new("look_up") { Description = "Finds", Parameters = new JsonObject { ["properties"] = new JsonObject() }, Strict = true };

    private static (string Body, string Version, GatewayCall Call) Write(ConversationRequest request, string model = "claude-sonnet-4-5", bool stream = false)
    {
        var call = InnerCall.Of(request, stream);
        call.Model = Model;
        var output = new ArrayBufferWriter<byte>();
        var version = AnthropicTranslator.Write(call, model, output);
        return (Encoding.UTF8.GetString(output.WrittenSpan), version, call);
    }

    public static TheoryData<string, string> Rows => new()
    {
        { "text", "claude-sonnet-5" }, { "stream", "claude-sonnet-5" }, { "instructions", "claude-sonnet-4-5" }, { "late-instructions", "claude-sonnet-4-5" },
        { "late-instructions-5", "claude-sonnet-5" }, { "only-instructions", "claude-sonnet-5" }, { "cap-and-stops", "claude-sonnet-4-5" }, { "sampling", "claude-3-7-sonnet-20250219" },
        { "media", "claude-sonnet-5" }, { "tool-loop", "claude-sonnet-5" }, { "tools-auto", "claude-sonnet-5" }, { "tools-required", "claude-sonnet-5" },
        { "tools-named", "claude-sonnet-5" }, { "tools-none", "claude-sonnet-5" }, { "tools-allowed", "claude-sonnet-5" }, { "json-schema", "claude-sonnet-5" },
        { "json-object", "claude-sonnet-5" }, { "effort-adaptive", "claude-sonnet-5" }, { "effort-none", "claude-sonnet-5" }, { "effort-budget", "claude-sonnet-4-5" },
        { "user", "claude-sonnet-5" }, { "prefill", "claude-sonnet-4-5" },
    };

    private static ConversationRequest Request(string row)
    {
        var ask = InnerCall.Ask("Hi");
        Message[] late = [Message.Of(Role.System, "Be brief."), Message.Of(Role.User, "Hi"), Message.Of(Role.Developer, "Now in French."), Message.Of(Role.User, "Go on")];
        return row switch
        {
            "instructions" => ask with { Messages = [Message.Of(Role.System, "One."), Message.Of(Role.Developer, "Two."), Message.Of(Role.User, "Hi")] },
            "late-instructions" or "late-instructions-5" => ask with { Messages = late },
            "only-instructions" => ask with { Messages = [Message.Of(Role.System, "Say hi.")] },
            "cap-and-stops" => ask with { MaxOutputTokens = 12, Sampling = new Sampling { Stop = ["END", "\nUser:"] } },
            "sampling" => ask with { Sampling = new Sampling { Temperature = 1.7, TopP = 0.5 } },
            "media" => ask with
            {
                Messages =
                [
                    new Message(Role.User,
                    [
                        new TextPart("Look") { CacheHint = new JsonObject { ["mode"] = "explicit" } }, new ImagePart(null, "image/jpg", "aGk=") { Detail = "high" },
                        new ImagePart("https://example.org/a.png", null, null), new FilePart { FileName = "a.pdf", MediaType = "application/pdf", Data = "aGk=" },
                        new FilePart { FileName = "a.txt", MediaType = "text/plain", Data = "aMOp" },
                    ]),
                ],
            },
            "tool-loop" => ask with
            {
                Tools = [LookUp],
                Messages =
                [
                    Message.Of(Role.User, "Hi"),
                    new Message(Role.Assistant, [new ReasoningPart("hm", null), new TextPart(""), new ToolCallPart("call_1", "look_up", "{\"q\": 1}"), new ToolCallPart("call:2", "look_up", "")]),
                    new Message(Role.Tool, [new ToolResultPart("call_1", [new TextPart("one")])]),
                    new Message(Role.Tool, [new ToolResultPart("call:2", []) { IsError = true }]),
                    Message.Of(Role.User, "And?"),
                ],
            },
            "tools-auto" => ask with { Tools = [LookUp, new Tool("none")], ToolChoice = new ToolChoice(ToolChoiceMode.Auto), ParallelToolCalls = false },
            "tools-required" => ask with { Tools = [LookUp], ToolChoice = new ToolChoice(ToolChoiceMode.Required), Reasoning = new Reasoning { Effort = "high" } },
            "tools-named" => ask with { Tools = [LookUp], ToolChoice = new ToolChoice(ToolChoiceMode.Named, "look_up") },
            "tools-none" => ask with { Tools = [LookUp], ToolChoice = new ToolChoice(ToolChoiceMode.None), ParallelToolCalls = false },
            "tools-allowed" => ask with { Tools = [LookUp, new Tool("other")], ToolChoice = new ToolChoice(ToolChoiceMode.Required) { Allowed = ["look_up"] } },
            "json-schema" => ask with { OutputFormat = new OutputFormat(OutputKind.JsonSchema) { Name = "x", Schema = new JsonObject { ["type"] = "object" }, Strict = true } },
            "json-object" => ask with { OutputFormat = new OutputFormat(OutputKind.Json) },
            "effort-adaptive" => ask with { Reasoning = new Reasoning { Effort = "minimal" }, Sampling = new Sampling { Temperature = 0.2 } },
            "effort-none" => ask with { Reasoning = new Reasoning { Effort = "none" } },
            "effort-budget" => ask with { Reasoning = new Reasoning { Effort = "high" }, MaxOutputTokens = 10_000, Sampling = new Sampling { Temperature = 1 } },
            "user" => ask with { EndUser = "u-1" },
            "prefill" => ask with { Messages = [Message.Of(Role.User, "Hi"), Message.Of(Role.Assistant, "Well, ")] },
            _ => ask,
        };
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void Write_Row_MatchesGoldenFile(string row, string model)
    {
        var (body, version, call) = Write(Request(row), model, stream: row == "stream");
        var all = new JsonObject
        {
            ["version"] = version,
            ["warnings"] = new JsonArray([.. call.Warnings.Select(w => (JsonNode)$"{w.Code}: {w.Message}")]),
            ["body"] = JsonNode.Parse(body),
        };
        GoldenFile.MatchesJson($"{row}.request.json", all.ToJsonString());
    }

    public static TheoryData<string, string> Refusals => new()
    {
        { "n", "n" }, { "logprobs", "logprobs" }, { "logit_bias", "logit_bias" }, { "frequency_penalty", "frequency_penalty" },
        { "presence_penalty", "presence_penalty" }, { "stop", "stop" }, { "audio", "messages" }, { "custom", "tools[0]" },
        { "file", "messages" }, { "web", "web_search_options" }, { "assistant-first", "messages" }, { "nothing", "messages" },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public void Write_FeatureAnthropicDoesNotSupport_IsRefused(string what, string parameter)
    {
        var ask = InnerCall.Ask("Hi");
        var request = what switch
        {
            "n" => ask with { ChoiceCount = 2 },
            "logprobs" => ask with { Sampling = new Sampling { Logprobs = true } },
            "logit_bias" => ask with { Sampling = new Sampling { LogitBias = new Dictionary<string, double> { ["1"] = 1 } } },
            "frequency_penalty" => ask with { Sampling = new Sampling { FrequencyPenalty = 1 } },
            "presence_penalty" => ask with { Sampling = new Sampling { PresencePenalty = 1 } },
            "stop" => ask with { Sampling = new Sampling { Stop = ["\n"] } },
            "audio" => ask with { Messages = [new Message(Role.User, [new AudioPart("wav", "aGk=")])] },
            "custom" => ask with { Tools = [new Tool("c") { Kind = ToolKind.Custom }] },
            "file" => ask with { Messages = [new Message(Role.User, [new FilePart { FileId = "file-1" }])] },
            "web" => ask with { Extra = new JsonObject { ["web_search_options"] = new JsonObject() } },
            "assistant-first" => ask with { Messages = [Message.Of(Role.Assistant, "x"), Message.Of(Role.User, "y")] },
            _ => ask with { Messages = [Message.Of(Role.User, " ")] },
        };
        var refused = Assert.Throws<GatewayErrorException>(() => Write(request));
        Assert.Equal(parameter, refused.Error.Parameter);
        Assert.Equal(ErrorGroup.Request, refused.Error.Definition.Group);
    }

    [Fact]
    public void Write_DisablingAlwaysOnThinking_IsRefused() =>
        Assert.Equal("reasoning_effort", Assert.Throws<GatewayErrorException>(() => Write(InnerCall.Ask("x") with { Reasoning = new Reasoning { Effort = "none" } }, "claude-opus-5-5")).Error.Parameter);

    [Theory]
    [InlineData("claude-sonnet-4-5-20250929", 4, 5, "sonnet")]
    [InlineData("claude-3-7-sonnet-20250219", 3, 7, "sonnet")]
    [InlineData("claude-opus-4-20250514", 4, 0, "opus")]
    [InlineData("anthropic.claude-haiku-5-5-v1:0", 5, 5, "haiku")]
    [InlineData("some-model", 5, 5, "")]
    public void ClaudeGeneration_ModelName_ParsesVersionAndFamily(string name, int major, int minor, string family) =>
        Assert.Equal(new ClaudeGeneration(major, minor, family), ClaudeGeneration.Of(name));
}
