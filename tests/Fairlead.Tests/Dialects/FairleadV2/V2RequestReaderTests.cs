using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.FairleadV2;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Tests.Dialects.FairleadV2;

public sealed class V2RequestReaderTests
{
    private const string Call = """{"type":"tool_call","id":"c1","name":"f","arguments":"{}"}""";

    private static readonly Dialect Dialect = FairleadDialect.Create();

    [Theory]
    [InlineData("""{"input":"hi"}""", ErrorCode.MissingParameter, "model")]
    [InlineData("""{"model":"m"}""", ErrorCode.MissingParameter, "input")]
    [InlineData("""{"model":"m","input":"hi","later":1}""", ErrorCode.UnsupportedParameter, "later")]
    [InlineData("""{"model":"m","input":"hi","sampling":{"top_k":1}}""", ErrorCode.UnsupportedParameter, "sampling/top_k")]
    [InlineData("""{"model":"m","input":"hi","a/b~c":1}""", ErrorCode.UnsupportedParameter, "a~1b~0c")]
    [InlineData("""{"model":"m","input":"hi","model":"n"}""", ErrorCode.InvalidParameter, null)]
    [InlineData("""{"model":"m","input":[]}""", ErrorCode.InvalidParameter, "input")]
    [InlineData("""{"model":"m","input":"hi","sampling":{"temperature":3}}""", ErrorCode.InvalidParameter, "sampling/temperature")]
    [InlineData("""{"model":"m","input":"hi","delivery":{"mode":"sync","wait_seconds":5}}""", ErrorCode.InvalidParameter, "delivery/wait_seconds")]
    [InlineData("""{"model":"m","input":"hi","delivery":{"mode":"job","on_disconnect":"cancel"}}""", ErrorCode.InvalidParameter, "delivery/on_disconnect")]
    [InlineData("""{"model":"m","input":"hi","delivery":{"mode":"sync"},"stream":{"batch_tokens":1}}""", ErrorCode.InvalidParameter, "stream")]
    [InlineData("""{"model":"m","input":"hi","tool_choice":"required"}""", ErrorCode.InvalidParameter, "tool_choice")]
    [InlineData("""{"model":"m","input":"hi","tools":[{"name":"f"}],"tool_choice":{"name":"g"}}""", ErrorCode.InvalidParameter, "tool_choice")]
    [InlineData("""{"model":"m","input":"hi","tools":[{"name":"f"},{"name":"f"}]}""", ErrorCode.InvalidParameter, "tools/1/name")]
    [InlineData("""{"model":"m","input":"hi","output":{"format":"json_schema"}}""", ErrorCode.MissingParameter, "output/schema")]
    [InlineData("""{"model":"m","input":"hi","output":{"format":"json","repair":true}}""", ErrorCode.InvalidParameter, "output/repair")]
    [InlineData("""{"model":"m","prompt":{"id":"p"}}""", ErrorCode.NotFound, "prompt/id")]
    [InlineData($$"""{"model":"m","input":[{{Call}}]}""", ErrorCode.InvalidParameter, "input")]
    [InlineData("""{"model":"m","input":[{"type":"tool_result","tool_call_id":"c1","output":"x"}]}""", ErrorCode.InvalidParameter, "input/0/tool_call_id")]
    [InlineData($$"""{"model":"m","input":[{{Call}},{{Call}}]}""", ErrorCode.InvalidParameter, "input/1")]
    [InlineData("""{"model":"m","input":[{"role":"user","content":[{"type":"image"}]}]}""", ErrorCode.InvalidParameter, "input/0/content/0")]
    [InlineData("""{"model":"m","input":[{"role":"user","content":[{"type":"image","data":"AAAA"}]}]}""", ErrorCode.MissingParameter, "input/0/content/0/media_type")]
    public void Read_InvalidRequest_ReturnsErrorAndPointer(string body, ErrorCode code, string? parameter)
    {
        var error = Dialect.Requests.Read(DialectCalls.Of(Dialect, body), new RequestBounds());
        Assert.NotNull(error);
        Assert.Equal((code, parameter), (error.Code, error.Parameter));
    }

    [Theory]
    [InlineData("", true, nameof(V2Delivery.Stream), false)]
    [InlineData(""","delivery":{"mode":"stream"}""", true, nameof(V2Delivery.Stream), true)]
    [InlineData(""","delivery":{"mode":"sync"}""", false, nameof(V2Delivery.Sync), true)]
    [InlineData(""","delivery":{"mode":"job"}""", false, nameof(V2Delivery.Job), true)]
    [InlineData(""","delivery":{"mode":"auto","wait_seconds":3}""", false, nameof(V2Delivery.Auto), true)]
    public void Read_Delivery_SetsModeAndStreaming(string more, bool streams, string delivery, bool isNamed)
    {
        var call = Read($$"""{"model":"m","input":"hi"{{more}}}""");
        var request = call.Facts.V2!;
        Assert.Equal((streams, delivery, isNamed), (call.Facts.Stream, request.Delivery.ToString(), request.ChoosesDelivery));
        Assert.Equal(request.Delivery == V2Delivery.Auto ? 3 : 10, request.WaitSeconds);
    }

    [Fact]
    public void Read_ItemsOfOneTurn_BecomeOneMessageWithPointerOfFirstItem()
    {
        var call = Read($$"""
            {"model":"m","instructions":"Be kind.","input":[
              {"role":"user","content":"Weather?"},
              {"type":"reasoning","text":"One call."},
              {"role":"assistant","content":"Let me see."},
              {{Call}},
              {"type":"tool_result","tool_call_id":"c1","output":"4 degrees","is_error":true},
              {"role":"user","content":[{"type":"text","text":"And"},{"type":"image","url":"https://a.example/i.png"}]}
            ]}
            """);
        var request = call.Facts.V2!;
        Assert.Equal(
            [Role.Developer, Role.User, Role.Assistant, Role.Tool, Role.User],
            request.Conversation.Messages.Select(message => message.Role));
        Assert.Equal(["instructions", "input/0", "input/1", "input/4", "input/5"], request.MessagePointers);
        Assert.Equal(
            [typeof(ReasoningPart), typeof(TextPart), typeof(ToolCallPart)],
            request.Conversation.Messages[2].Parts.Select(part => part.GetType()));
        var result = Assert.IsType<ToolResultPart>(Assert.Single(request.Conversation.Messages[3].Parts));
        Assert.Equal(("c1", "f", true), (result.CallId, result.Name, result.IsError));
    }

    [Fact]
    public void Read_EveryField_IsMappedToConversation()
    {
        var request = Read("""
            {"model":"m","input":"hi","tools":[{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}],"tool_choice":{"name":"f"},
            "parallel_tool_calls":false,"output":{"format":"json_schema","schema":{"type":"object"}},"reasoning":{"effort":"low"},"metadata":{"a":"b"},
            "sampling":{"temperature":0.5,"top_p":0.25,"seed":7,"stop":"END","max_output_tokens":9}}
            """).Facts.V2!.Conversation;
        var tool = Assert.Single(request.Tools);
        Assert.Equal(("f", "d", true), (tool.Name, tool.Description, tool.Strict));
        Assert.Equal((ToolChoiceMode.Named, "f"), (request.ToolChoice.Mode, request.ToolChoice.Name));
        Assert.False(request.ParallelToolCalls);
        Assert.Equal((OutputKind.JsonSchema, "output", true), (request.OutputFormat.Kind, request.OutputFormat.Name, request.OutputFormat.Strict));
        Assert.Equal("low", request.Reasoning!.Effort);
        Assert.Equal("b", request.Metadata!["a"]);
        Assert.Equal((0.5, 0.25, 7L, 9), (request.Sampling.Temperature, request.Sampling.TopP, request.Sampling.Seed, request.MaxOutputTokens));
        Assert.Equal(["END"], request.Sampling.Stop);
    }

    [Theory]
    [InlineData("messages[1].content", "input/0")]
    [InlineData("messages[9]", "input")]
    [InlineData("tools[2].name", "tools/2")]
    [InlineData("response_format", "output")]
    [InlineData("stop", "sampling/stop")]
    [InlineData("max_tokens", "sampling/max_output_tokens")]
    [InlineData("reasoning_effort", "reasoning/effort")]
    [InlineData("something_else", "something_else")]
    public void WithClientParameter_ConversationParameter_ReturnsRequestPointer(string parameter, string pointer)
    {
        var call = Read("""{"model":"m","instructions":"Be kind.","input":[{"role":"user","content":"hi"}]}""");
        Assert.Equal(pointer, Dialect.Requests.WithClientParameter(call, GatewayError.Invalid(parameter, "It is wrong.")).Parameter);
    }

    private static GatewayCall Read(string body)
    {
        var call = DialectCalls.Of(Dialect, body);
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        return call;
    }
}
