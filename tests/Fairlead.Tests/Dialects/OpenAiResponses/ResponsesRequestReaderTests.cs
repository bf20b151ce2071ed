using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Tests.Dialects.OpenAiResponses;

public sealed class ResponsesRequestReaderTests
{
    private static readonly Dialect Dialect = ResponsesDialect.Create();

    [Theory]
    [InlineData("""{"input":"hi"}""", "model", "missing_required_parameter")]
    [InlineData("""{"model":"m"}""", "input", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":7}""", "input", "invalid_type")]
    [InlineData("""{"model":"m","input":[7]}""", "input[0]", "invalid_type")]
    [InlineData("""{"model":"m","input":[{"content":"x"}]}""", "input[0].type", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":[{"role":"pope","content":"x"}]}""", "input[0].role", "invalid_value")]
    [InlineData("""{"model":"m","input":[{"role":"user"}]}""", "input[0].content", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":[{"role":"user","content":[{"type":"text","text":"x"}]}]}""", "input[0].content[0].type", "invalid_value")]
    [InlineData("""{"model":"m","input":[{"role":"user","content":[{"type":"input_image"}]}]}""", "input[0].content[0].image_url", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"ftp://x"}]}]}""", "input[0].content[0].image_url", "invalid_value")]
    [InlineData("""{"model":"m","input":[{"role":"user","content":[{"type":"input_image","file_id":""}]}]}""", "input[0].content[0].file_id", "empty_string")]
    [InlineData("""{"model":"m","input":[{"role":"user","content":[{"type":"input_file","filename":"a.pdf"}]}]}""", "input[0].content[0]", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":[{"type":"function_call","name":"f","arguments":"{}"}]}""", "input[0].call_id", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":[{"type":"function_call_output","call_id":"c"}]}""", "input[0].output", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":[{"type":"reasoning","summary":[{"type":"summary_text"}]}]}""", "input[0].summary[0].text", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":"hi","max_output_tokens":3}""", "max_output_tokens", "integer_below_min_value")]
    [InlineData("""{"model":"m","input":"hi","temperature":3}""", "temperature", "decimal_above_max_value")]
    [InlineData("""{"model":"m","input":"hi","top_logprobs":21}""", "top_logprobs", "integer_above_max_value")]
    [InlineData("""{"model":"m","input":"hi","truncation":"some"}""", "truncation", "invalid_value")]
    [InlineData("""{"model":"m","input":"hi","include":["everything"]}""", "include[0]", "invalid_value")]
    [InlineData("""{"model":"m","input":"hi","reasoning":{"effort":"hard"}}""", "reasoning.effort", "invalid_value")]
    [InlineData("""{"model":"m","input":"hi","conversation":"conv_1"}""", "conversation", null)]
    [InlineData("""{"model":"m","input":"hi","store":false,"background":true}""", "background", "invalid_value")]
    [InlineData("""{"model":"m","input":"hi","prompt":{"id":"pmpt_1"}}""", "prompt", null)]
    [InlineData("""{"model":"m","input":"hi","stream_options":{"include_obfuscation":false}}""", "stream_options", "invalid_value")]
    [InlineData("""{"model":"m","input":"hi","metadata":{"a":1}}""", "metadata", "invalid_type")]
    [InlineData("""{"model":"m","input":"hi","tools":[{"type":"function"}]}""", "tools[0].name", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":"hi","tools":[{"type":"function","name":"f","strict":true,"parameters":{"type":"object","properties":{"a":{"type":"string"}}}}]}""", "tools[0].parameters", "invalid_function_parameters")]
    [InlineData("""{"model":"m","input":"hi","tool_choice":"required"}""", "tool_choice", "invalid_value")]
    [InlineData("""{"model":"m","input":"hi","tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"g"}}""", "tool_choice", "invalid_value")]
    [InlineData("""{"model":"m","input":"hi","tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"g"}]},"tools":[{"type":"function","name":"f"}]}""", "tool_choice.tools[0]", "invalid_value")]
    [InlineData("""{"model":"m","input":"hi","text":{"format":{"type":"json_schema","schema":{"type":"object"}}}}""", "text.format.name", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":"hi","text":{"format":{"type":"json_schema","name":"n"}}}""", "text.format.schema", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":"hi","model":"m"}""", "model", "invalid_value")]
    public void Read_InvalidRequest_ReturnsErrorNamingField(string body, string parameter, string? code)
    {
        var call = DialectCalls.Of(Dialect, body);
        var error = Dialect.Requests.Read(call, new RequestBounds()) ?? call.Facts.UnknownValueError;
        Assert.NotNull(error);
        Assert.Equal(parameter, error.Parameter);
        Assert.Equal(code, error.OpenAiCode);
        if (code is null) Assert.Equal(ErrorCode.UnsupportedParameter, error.Code);
    }

    [Fact]
    public void Read_FullResponsesRequest_FillsFacts()
    {
        var call = Read("""
            {"fairlead":{"task":"code"},"model":"fast","store":false,"stream":true,"temperature":0.5,"max_output_tokens":100,"include":["reasoning.encrypted_content","message.output_text.logprobs"],
             "input":[{"role":"user","content":[{"type":"input_text","text":"look"},{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]},
                      {"type":"reasoning","id":"rs_1","summary":[]},{"type":"something_new","x":[1,{"y":2}]}],
             "tools":[{"type":"web_search"},{"type":"custom","name":"c"}],"text":{"format":{"type":"json_object"}},"reasoning":{"effort":"low"},"unknown":{"a":[]}}
            """);
        var facts = call.Facts;
        Assert.Equal("fast", facts.Model);
        Assert.True(facts.Stream);
        Assert.Equal(100, facts.MaxOutputTokens);
        Assert.Equal("low", facts.ReasoningEffort);
        Assert.Equal(3, facts.MessageCount);
        Assert.Equal(1, facts.ImageCount);
        Assert.Equal("input[0].content[1]", facts.Paths[RequestFeatures.Images]);
        Assert.Equal(RequestFeatures.Images | RequestFeatures.UserText | RequestFeatures.Tools | RequestFeatures.CustomTools | RequestFeatures.JsonObject | RequestFeatures.Logprobs | RequestFeatures.ReasoningEffort | RequestFeatures.Temperature, facts.Features);
        var found = facts.Responses!;
        Assert.False(found.Stores);
        Assert.True(found.InputHasGatewayData);
        Assert.True(found.IncludesSealedReasoning);
        Assert.True(found.IncludesLogprobs);
    }

    [Fact]
    public void ToConversation_ItemsOfOneTurn_BecomeOneMessage()
    {
        var signature = SealedReasoning.Of(new ReasoningPart("", "sig"));
        var request = Read($$"""
            {"model":"m","instructions":"be brief","input":[
              {"role":"user","content":"weather?"},
              {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"{{signature}}"},
              {"type":"message","role":"assistant","id":"msg_1","status":"completed","content":[{"type":"output_text","text":"Let me see.","annotations":[]}]},
              {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"a\":1}"},
              {"type":"custom_tool_call","call_id":"c2","name":"g","input":"free"},
              {"type":"function_call_output","call_id":"c1","output":"sun"},
              {"type":"custom_tool_call_output","call_id":"c2","output":[{"type":"input_text","text":"rain"}]},
              {"role":"developer","content":"now"}],
             "tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object","properties":{ },"additionalProperties":false,"required":[]} },{"type":"custom","name":"g","format":{"type":"grammar","syntax":"lark","definition":"x"} }],
             "tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"f"}]},"parallel_tool_calls":false,
             "text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"} },"verbosity":"low"},"top_logprobs":2,"safety_identifier":"u1","service_tier":"flex","prompt_cache_key":"k","presence_penalty":0}
            """).Conversation;
        Assert.Equal([Role.Developer, Role.User, Role.Assistant, Role.Tool, Role.Developer], request.Messages.Select(m => m.Role));
        Assert.Equal([new ReasoningPart("hm", "sig"), new TextPart("Let me see."), new ToolCallPart("c1", "f", "{\"a\":1}"), new ToolCallPart("c2", "g", "free") { Kind = ToolKind.Custom }], request.Messages[2].Parts);
        Assert.Equal(["c1", "c2"], request.Messages[3].Parts.Cast<ToolResultPart>().Select(r => r.CallId));
        Assert.Equal(["f", "g"], request.Messages[3].Parts.Cast<ToolResultPart>().Select(r => r.Name));
        Assert.True(request.Tools[0].Strict);
        Assert.Equal("lark", request.Tools[1].Format!["grammar"]!["syntax"]!.GetValue<string>());
        Assert.Equal(ToolChoiceMode.Required, request.ToolChoice.Mode);
        Assert.Equal(["f"], request.ToolChoice.Allowed);
        Assert.False(request.ParallelToolCalls);
        Assert.Equal(OutputKind.JsonSchema, request.OutputFormat.Kind);
        Assert.Equal("low", request.Verbosity);
        Assert.True(request.Sampling.Logprobs);
        Assert.Equal(2, request.Sampling.TopLogprobs);
        Assert.Null(request.Sampling.PresencePenalty);
        Assert.Equal("u1", request.EndUser);
        Assert.Equal(["prompt_cache_key", "service_tier"], request.Extra!.Select(e => e.Key).Order());
    }

    [Theory]
    [InlineData("""{"model":"m","input":"x","tools":[{"type":"function","name":"f"},{"type":"web_search"}]}""", "tools[1]", ErrorCode.UnsupportedParameter)]
    [InlineData("""{"model":"m","input":"x","tools":[{"type":"mcp","server_label":"s"}],"tool_choice":{"type":"mcp","server_label":"s"}}""", "tools[0]", ErrorCode.UnsupportedParameter)]
    [InlineData("""{"model":"m","input":[{"type":"item_reference","id":"msg_1"}]}""", "input[0].id", ErrorCode.InvalidParameter)]
    [InlineData("""{"model":"m","input":[{"id":"msg_1"}]}""", "input[0].id", ErrorCode.InvalidParameter)]
    [InlineData("""{"model":"m","input":[{"type":"function_call_output","call_id":"c9","output":"x"}]}""", "input[0].call_id", ErrorCode.InvalidParameter)]
    [InlineData("""{"model":"m","input":[{"type":"function_call","call_id":"c9","name":"f","arguments":"{}"}]}""", "input", ErrorCode.InvalidParameter)]
    public void ToConversation_UntranslatableItem_IsRefused(string body, string parameter, ErrorCode code)
    {
        var call = Read(body);
        var refused = Assert.Throws<GatewayErrorException>(() => call.Conversation);
        Assert.Equal(parameter, refused.Error.Parameter);
        Assert.Equal(code, refused.Error.Code);
    }

    [Theory]
    [InlineData("flr1_", null)]
    [InlineData("flr1_!!", null)]
    [InlineData("gAAAAAB", null)]
    [InlineData("flr1_b3JzXzEKc2VhbA", "rs_1")]
    public void SealedReasoning_Parse_AcceptsOnlyOwnFormat(string text, string? id) => Assert.Equal(id, SealedReasoning.Parse(text)?.Id);

    [Fact]
    public void UpstreamBody_NativeProvider_KeepsAllButGatewayFields()
    {
        var reasoning = new SealedReasoning(SealedReasoning.Native, "rs_up", "gAAA").ToText();
        var call = Read($$"""{"fairlead":{"task":"code"},"previous_response_id":null,"model":"fast","new_field":[1],"store":true,"input":[{"type":"reasoning","id":"rs_ours","summary":[],"encrypted_content":"{{reasoning}}"},{"type":"reasoning","id":"rs_other","summary":[]},{"type":"message","role":"assistant","id":"msg_ours","content":[{"type":"output_text","text":"é"}]},{"role":"user","content":"x"}]}""");
        Assert.Equal(
            """{"previous_response_id":null,"model":"gpt-x","new_field":[1],"store":false,"input":[{"type":"reasoning","id":"rs_up","summary":[],"encrypted_content":"gAAA"},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"é"}]},{"role":"user","content":"x"}]}""",
            DialectCalls.Upstream(Dialect, call, "gpt-x"));

        // Nothing of ours in it: every byte stays.
        var plain = Read("""{ "model":"fast", "input":[{"role":"user","content":"\u00e9"}], "stream":true }""");
        Assert.Equal("""{ "model":"gpt-x","store":false, "input":[{"role":"user","content":"\u00e9"}], "stream":true }""", DialectCalls.Upstream(Dialect, plain, "gpt-x"));
        JsonDocument.Parse(DialectCalls.Upstream(Dialect, plain, "gpt-x"));
    }

    private static GatewayCall Read(string body)
    {
        var call = DialectCalls.Of(Dialect, body);
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        return call;
    }
}
