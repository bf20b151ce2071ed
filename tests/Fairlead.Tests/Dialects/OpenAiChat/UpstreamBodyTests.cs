using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Configuration;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Pipeline;

namespace Fairlead.Tests.Dialects.OpenAiChat;

public sealed class UpstreamBodyTests
{
    private static readonly Dialect Dialect = OpenAiChatDialect.Create();

    [Theory]
    [InlineData("""{"model":"a","messages":M}""", """{"model":"up","messages":M}""")]
    [InlineData(""" { "messages" : M , "model" : "a" } """, """ { "messages" : M , "model" : "up" } """)]
    [InlineData("""{"model":"a","messages":M,"stream":true}""", """{"model":"up","stream_options":{"include_usage":true},"messages":M,"stream":true}""")]
    [InlineData("""{"model":"a","messages":M,"stream":true,"stream_options":null}""", """{"model":"up","messages":M,"stream":true,"stream_options":{"include_usage":true}}""")]
    [InlineData("""{"model":"a","messages":M,"stream":true,"stream_options":{}}""", """{"model":"up","messages":M,"stream":true,"stream_options":{"include_usage":true}}""")]
    [InlineData("""{"model":"a","messages":M,"stream":true,"stream_options":{"x":[1]}}""", """{"model":"up","messages":M,"stream":true,"stream_options":{"include_usage":true,"x":[1]}}""")]
    [InlineData("""{"model":"a","messages":M,"stream":true,"stream_options":{"x":{"include_usage":0},"include_usage": false }}""", """{"model":"up","messages":M,"stream":true,"stream_options":{"x":{"include_usage":0},"include_usage": true }}""")]
    [InlineData("""{"model":"a","messages":M,"stream":true,"stream_options":{"include_usage":true}}""", """{"model":"up","messages":M,"stream":true,"stream_options":{"include_usage":true}}""")]
    [InlineData("""{"fairlead":{"task":"code"},"model":"a","messages":M}""", """{"model":"up","messages":M}""")]
    [InlineData("""{"model":"a" , "fairlead" : {"task":"a,b"} ,"messages":M}""", """{"model":"up"  ,"messages":M}""")]
    [InlineData("""{"model":"a","messages":M,"fairlead":null}""", """{"model":"up","messages":M}""")]
    [InlineData("""{"stream":true,"fairlead":{},"model":"a","messages":M}""", """{"stream":true,"model":"up","stream_options":{"include_usage":true},"messages":M}""")]
    [InlineData("""{"\u006dodel":"\u0061","messages":M,"new_field":{"b":[1,2.50,"\u00e9"]}}""", """{"\u006dodel":"up","messages":M,"new_field":{"b":[1,2.50,"\u00e9"]}}""")]
    public void Write_Body_ChangesOnlyRequiredFields(string body, string expected)
    {
        const string Messages = """[{"role":"user","content":"\"model\":\"a\", fairlead"}]""";
        var call = DialectCalls.Of(Dialect, body.Replace("M", Messages, StringComparison.Ordinal));
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        Assert.Equal(expected.Replace("M", Messages, StringComparison.Ordinal), DialectCalls.Upstream(Dialect, call, "up"));
    }

    [Fact]
    public void Write_AnyPropertyOrder_ChangesOnlyEditedFields()
    {
        string[] members =
        [
            "\"model\": \"fast\"", "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]", "\"fairlead\":{\"class\":\"bulk\"}", "\"stream\":true",
            "\"stream_options\":{\"include_usage\":false,\"later\":{}}", "\"unknown\":[{\"fairlead\":1,\"model\":\"fast\"}]", "\"zeta\" : null",
        ];
        Gen.Shuffle(members).Select(Gen.Int[0, 3], Gen.Bool, (order, spaces, options) => (order, spaces, options)).Sample(t =>
        {
            var chosen = t.order.Where(m => t.options || !m.StartsWith("\"stream_options", StringComparison.Ordinal));
            var separator = "," + new string(' ', t.spaces) + (t.spaces == 3 ? "\n" : "");
            var body = "{" + string.Join(separator, chosen) + "}";
            var call = DialectCalls.Of(Dialect, body);
            Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
            var actual = JsonNode.Parse(DialectCalls.Upstream(Dialect, call, "an \"upstream\" modèl"))!.AsObject();

            var expected = JsonNode.Parse(body)!.AsObject();
            expected["model"] = "an \"upstream\" modèl";
            expected.Remove("fairlead");
            if (expected["stream_options"] is JsonObject given) given["include_usage"] = true;
            else expected["stream_options"] = new JsonObject { ["include_usage"] = true };
            Assert.True(JsonNode.DeepEquals(expected, actual), actual.ToJsonString());
        });
    }
}
