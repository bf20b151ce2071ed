using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Tests.Dialects.OpenAiChat;

public sealed class ChatConversationReaderTests
{
    private static readonly Dialect Dialect = OpenAiChatDialect.Create();

    private static ConversationRequest Read(string body)
    {
        var call = DialectCalls.Of(Dialect, body);
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        return call.Conversation;
    }

    [Fact]
    public void Read_RichRequest_KeepsEverything()
    {
        var request = Read(ChatRequestReaderTests.Rich);
        Assert.Equal([Role.System, Role.User, Role.Assistant, Role.Tool, Role.User], request.Messages.Select(m => m.Role));
        var user = request.Messages[1];
        Assert.Equal("ann", user.Name);
        Assert.Equal(new TextPart("What is \"this\"? 😀"), user.Parts[0]);
        Assert.Equal(new ImagePart(null, "image/png", "AAAA") { Detail = "low" }, user.Parts[1]);
        Assert.Equal(new AudioPart("wav", "UklG"), user.Parts[2]);
        Assert.Equal(new FilePart { FileName = "a.pdf", MediaType = "application/pdf", Data = "JVBE" }, user.Parts[3]);
        Assert.Equal([new ToolCallPart("c1", "look", "{}"), new ToolCallPart("c2", "run", "ls") { Kind = ToolKind.Custom }], request.Messages[2].Parts);
        var results = request.Messages[3].Parts.Cast<ToolResultPart>().ToList();
        Assert.Equal([("c2", "run"), ("c1", "look")], results.Select(r => (r.CallId, r.Name!)));
        Assert.Equal(new TextPart("found"), results[1].Content.Single());

        Assert.Equal(["look", "run"], request.Tools.Select(t => t.Name));
        Assert.True(request.Tools[0].Strict);
        Assert.Equal("object", (string?)request.Tools[0].Parameters!["type"]);
        Assert.Equal(ToolKind.Custom, request.Tools[1].Kind);
        Assert.Equal("lark", (string?)request.Tools[1].Format!["grammar"]!["syntax"]);
        Assert.Equal(new ToolChoice(ToolChoiceMode.Named, "look"), request.ToolChoice);
        Assert.False(request.ParallelToolCalls);
        Assert.Equal((OutputKind.JsonSchema, "out"), (request.OutputFormat.Kind, request.OutputFormat.Name));
        Assert.Equal((0.5, 1.0, 0.0, null, -7L), (request.Sampling.Temperature, request.Sampling.TopP, request.Sampling.FrequencyPenalty, request.Sampling.PresencePenalty, request.Sampling.Seed));
        Assert.Equal(["a", "b"], request.Sampling.Stop);
        Assert.True(request.Sampling.Logprobs);
        Assert.Equal(3, request.Sampling.TopLogprobs);
        Assert.Equal(-100, request.Sampling.LogitBias!["50256"]);
        Assert.Equal(100, request.MaxOutputTokens);
        Assert.Equal(2, request.ChoiceCount);
        Assert.Equal("low", request.Reasoning!.Effort);
        Assert.Equal("s", request.EndUser);
        Assert.Equal("high", request.Verbosity);
        Assert.Equal("b", request.Metadata!["a"]);
        Assert.Equal(["prompt_cache_key", "prompt_cache_retention", "service_tier", "something_new", "store"], request.Extra!.Select(e => e.Key).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Read_LegacyFunctions_BecomeTools()
    {
        var request = Read("""
            {"model":"m","functions":[{"name":"f","parameters":{"type":"object"}}],"function_call":{"name":"f"},"messages":[
              {"role":"user","content":"x"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{\"a\":1}"}},{"role":"function","name":"f","content":"7"}]}
            """);
        Assert.Equal("f", request.Tools.Single().Name);
        Assert.Equal(new ToolChoice(ToolChoiceMode.Named, "f"), request.ToolChoice);
        var call = Assert.IsType<ToolCallPart>(request.Messages[1].Parts.Single());
        var result = Assert.IsType<ToolResultPart>(request.Messages[2].Parts.Single());
        Assert.Equal("{\"a\":1}", call.Arguments);
        Assert.Equal(call.Id, result.CallId);
        Assert.Equal("f", result.Name);
    }

    [Fact]
    public void Read_ImageUrlsAndFileIds_AreKeptAsReferences()
    {
        var request = Read("""{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a/b.png"}},{"type":"file","file":{"file_id":"file-1"}}]},{"role":"assistant","refusal":"no","content":null}]}""");
        Assert.Equal([new ImagePart("https://a/b.png", null, null), new FilePart { FileId = "file-1" }], request.Messages[0].Parts);
        Assert.Equal([new RefusalPart("no")], request.Messages[1].Parts);
    }

    [Theory]
    [InlineData("\"none\"", nameof(ToolChoiceMode.None))]
    [InlineData("\"auto\"", nameof(ToolChoiceMode.Auto))]
    [InlineData("\"required\"", nameof(ToolChoiceMode.Required))]
    [InlineData("null", nameof(ToolChoiceMode.Unset))]
    [InlineData("""{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}}]}}""", nameof(ToolChoiceMode.Required))]
    public void Read_ToolChoice_SetsMode(string choice, string mode)
    {
        var request = Read($$"""{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"} }],"tool_choice":{{choice}} }""");
        Assert.Equal(Enum.Parse<ToolChoiceMode>(mode), request.ToolChoice.Mode);
        Assert.Equal(choice.Contains("allowed", StringComparison.Ordinal) ? ["f"] : null, request.ToolChoice.Allowed);
    }

    [Fact]
    public void Read_AudioOutput_IsAccepted()
    {
        var request = Read("""{"model":"m","messages":[{"role":"user","content":"x"}],"modalities":["text","audio"],"audio":{"voice":"v","format":"mp3"}}""");
        Assert.Equal(new AudioOutput("v", "mp3"), request.Audio);
        Assert.Null(request.Extra);
    }

    [Fact]
    public void Read_DuplicateKeyInToolSchema_IsRefusedWithReason()
    {
        var call = DialectCalls.Of(Dialect, """{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","type":"object"}}}]}""");
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        var refused = Assert.Throws<GatewayErrorException>(() => call.Conversation);
        Assert.Equal(ErrorCode.InvalidParameter, refused.Error.Code);
    }
}
