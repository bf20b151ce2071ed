using System.Buffers;
using System.Text;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Tests.Auditing;

namespace Fairlead.Tests.Generations;

public sealed class GenerationDetailsTests
{
    private const string Odd = "<a href='x'>\"&+`\\ \u0001\b\u007f\u00a0\u2028\ue000\uffff é 漢 😀\t\r\n";

    [Fact]
    public void Of_TextCallsAndReasoning_OutputIsTheirItemsInOrder()
    {
        var answer = new ModelResponse(
        [
            new OutputChoice(
                0,
                [
                    new ReasoningPart("because", null), new TextPart("a"), new RefusalPart("no"), new ToolCallPart("call_1", "f", "{\"x\":1}"),
                    new ReasoningPart("", null) { Redacted = "sealed" }, new TextPart("b"),
                ],
                FinishReason.Stop),
        ]);
        Assert.Equal(
            """
            [{"type":"reasoning","text":"because"},{"type":"message","role":"assistant","content":[{"type":"text","text":"a"},{"type":"refusal","text":"no"}]},{"type":"tool_call","id":"call_1","name":"f","arguments":"{\"x\":1}"},{"type":"message","role":"assistant","content":[{"type":"text","text":"b"}]}]
            """,
            Details(answer).GetProperty("output").GetRawText());
        Assert.Equal("ab", Details(answer).GetProperty("output_text").GetString());
    }

    [Fact]
    public void Of_SeveralChoices_ItemsHaveTheirNumber()
    {
        var answer = new ModelResponse(
            [new OutputChoice(0, [new TextPart("a")], FinishReason.Stop), new OutputChoice(1, [new ToolCallPart("c", "f", "")], FinishReason.ToolCalls)]);
        Assert.Equal(
            """[{"type":"message","role":"assistant","content":[{"type":"text","text":"a"}],"choice":0},{"type":"tool_call","id":"c","name":"f","arguments":"","choice":1}]""",
            Details(answer).GetProperty("output").GetRawText());
    }

    [Fact]
    public void Of_OddCharacters_HasTheBytesThatTheWireHas()
    {
        var answer = new ModelResponse([new OutputChoice(0, [new TextPart(Odd), new ToolCallPart(Odd, Odd, Odd)], FinishReason.Stop)]);
        var call = Ended();
        call.Warn("odd", Odd);
        call.Violations = [new SchemaViolation("/" + Odd, Odd)];
        var details = GenerationDetails.Of(call, answer, GatewayError.Invalid(Odd, Odd));
        AssertIsAsOnTheWire(details);
        AssertIsAsOnTheWire(GenerationDetails.Of("req_1", default, GatewayError.Invalid(Odd, Odd)));
        Assert.Equal(Odd, JsonDocument.Parse(details).RootElement.GetProperty("warnings")[0].GetProperty("message").GetString());
    }

    [Theory]
    [InlineData("{}", "{\"usage\":null}")]
    [InlineData("{ \"a\" : [1, {\"usage\":0}] , \"usage\" : {\"x\":1.50} }", "{\"usage\":{\"x\":1.50}}")]
    [InlineData("{\"us\\u0061ge\":\"x\"}", "{\"usage\":\"x\"}")]
    public void CopyTo_OneMember_IsItsValueOrNull(string details, string expected) =>
        Assert.Equal(expected, Written(json => GenerationDetails.CopyTo(json, "usage", Encoding.UTF8.GetBytes(details))));

    private static void AssertIsAsOnTheWire(byte[] details)
    {
        // The details as an object of this writer, and as the copy of their members.
        using var document = JsonDocument.Parse(details);
        Assert.Equal(
            Written(json =>
            {
                foreach (var member in document.RootElement.EnumerateObject()) member.WriteTo(json);
            }),
            Written(json => GenerationDetails.CopyTo(json, details)));
        Assert.Equal(Encoding.UTF8.GetString(details), Written(json => GenerationDetails.CopyTo(json, details)));
    }

    private static string Written(Action<Utf8JsonWriter> write)
    {
        var output = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }

    private static GatewayCall Ended()
    {
        var call = RecordedCalls.New();
        call.Try();
        return call.End();
    }

    private static JsonElement Details(ModelResponse answer) => JsonDocument.Parse(GenerationDetails.Of(Ended(), answer, null)).RootElement;
}
