using System.Text;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.StructuredOutput;

namespace Fairlead.Tests.StructuredOutput;

public sealed class OutputSchemaTests
{
    [Theory]
    [InlineData("""{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}""", """{"a":1}""", """{"a":"x"}""", "/a")]
    [InlineData("""{"type":"object","required":["a"]}""", """{"a":null}""", """{"b":1}""", "")]
    [InlineData("""{"type":"object","properties":{"a":{}},"additionalProperties":false}""", """{"a":[]}""", """{"a/~b":1}""", "/a~1~0b")]
    [InlineData("""{"additionalProperties":{"type":"string"}}""", """{"x":"y"}""", """{"x":1}""", "/x")]
    [InlineData("""{"type":["string","null"]}""", "null", "1", "")]
    [InlineData("""{"type":"integer"}""", "1.0", "1.5", "")]
    [InlineData("""{"type":"integer","minimum":1,"maximum":5}""", "5", "6", "")]
    [InlineData("""{"exclusiveMinimum":0}""", "0.001", "0", "")]
    [InlineData("""{"exclusiveMaximum":0}""", "-1e300", "1e300", "")]
    [InlineData("""{"multipleOf":0.1}""", "0.3", "0.35", "")]
    [InlineData("""{"enum":["a",1,{"b":[1.0]}]}""", """{"b":[1]}""", """{"b":[2]}""", "")]
    [InlineData("""{"const":"a"}""", "\"a\"", "\"b\"", "")]
    [InlineData("""{"items":{"type":"boolean"},"minItems":1,"maxItems":2}""", "[true]", "[true,1]", "/1")]
    [InlineData("""{"minItems":1}""", "[1]", "[]", "")]
    [InlineData("""{"prefixItems":[{"type":"string"}],"items":false}""", "[\"a\"]", "[\"a\",1]", "/1")]
    [InlineData("""{"minLength":2,"maxLength":2}""", "\"😀é\"", "\"é\"", "")]
    [InlineData("""{"pattern":"^a+$"}""", "\"aaa\"", "\"aab\"", "")]
    [InlineData("""{"format":"date"}""", "\"2026-02-28\"", "\"2026-02-30\"", "")]
    [InlineData("""{"format":"date-time"}""", "\"2026-02-28T10:00:00Z\"", "\"2026-02-28\"", "")]
    [InlineData("""{"format":"ipv4"}""", "\"10.0.0.1\"", "\"10.1\"", "")]
    [InlineData("""{"format":"uuid"}""", "\"7d444840-9dc0-11d1-b245-5ffdce74fad2\"", "\"7d44\"", "")]
    [InlineData("""{"format":"duration"}""", "\"P1DT2H\"", "\"P1DT\"", "")]
    [InlineData("""{"anyOf":[{"type":"string"},{"type":"object","properties":{"a":{"type":"number"}},"required":["a"]}]}""", """{"a":1}""", """{"a":"x"}""", "")]
    [InlineData("""{"oneOf":[{"minimum":1},{"maximum":5}]}""", "7", "3", "")]
    [InlineData("""{"allOf":[{"minimum":1},{"maximum":5}]}""", "3", "7", "")]
    [InlineData("""{"$defs":{"node":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["next"]}},"$ref":"#/$defs/node"}""", """{"next":{"next":null}}""", """{"next":{"next":1}}""", "/next")]
    [InlineData("""{"type":"object","properties":{"me":{"$ref":"#"}}}""", """{"me":{"me":{}}}""", """{"me":{"me":1}}""", "/me/me")]
    [InlineData("""{"minProperties":1,"maxProperties":1}""", """{"a":1}""", "{}", "")]
    [InlineData("true", "1", "nothing", "")]
    public void Check_ValidAndInvalidValues_ReturnsViolationsWithLocation(string schema, string right, string wrong, string at)
    {
        var compiled = Compile(schema);
        Assert.Empty(compiled.Check(Encoding.UTF8.GetBytes(right)));
        var violations = compiled.Check(Encoding.UTF8.GetBytes(wrong));
        Assert.NotEmpty(violations);
        if (!schema.Contains("next", StringComparison.Ordinal)) Assert.Contains(violations, one => one.Pointer == at);
    }

    [Theory]
    [InlineData("""{"if":{}}""", "if")]
    [InlineData("""{"properties":{"a":{"not":{}}}}""", "properties/a/not")]
    [InlineData("""{"type":"text"}""", "type")]
    [InlineData("""{"$ref":"https://example.com/schema"}""", "$ref")]
    [InlineData("""{"$ref":"#/$defs/nothing"}""", "$ref")]
    [InlineData("""{"minLength":-1}""", "minLength")]
    [InlineData("""{"anyOf":[]}""", "anyOf")]
    [InlineData("""{"multipleOf":0}""", "multipleOf")]
    [InlineData("""{"items":[{}]}""", "items")]
    public void Compile_UncheckableSchema_IsRefusedWithLocation(string schema, string at)
    {
        using var document = JsonDocument.Parse(schema);
        Assert.Null(OutputSchema.Compile(document.RootElement, out var fault));
        Assert.Equal(at, fault.At);
        Assert.NotEqual("", fault.Reason);
    }

    [Fact]
    public void Check_InfinitelyRecursiveSchema_Terminates()
    {
        Assert.Empty(Compile("""{"$defs":{"a":{"type":"number"}},"anyOf":[{"$ref":"#/$defs/a"}]}""").Check("1"u8.ToArray()));
        // Every branch leads to all branches again.
        var circle = Compile("""{"anyOf":[{"anyOf":[{"$ref":"#"},{"type":"string"}]},{"allOf":[{"$ref":"#"},{"$ref":"#"}]}]}""");
        Assert.NotEmpty(circle.Check("1"u8.ToArray()));
        using var json = new PartialJson(circle);
        var found = new List<PartialValue>();
        json.Add("""{"a":[1,2,{"b":3}]}""", found);
        json.Finish(found);
    }

    [Fact]
    public void Check_ManyViolations_ReturnsLimitedNumber()
    {
        var violations = Compile("""{"items":{"type":"string"}}""").Check(Encoding.UTF8.GetBytes("[" + string.Join(',', Enumerable.Repeat("1", 1000)) + "]"));
        Assert.Equal(SchemaCheck.MaxNoted, violations.Count);
    }

    internal static OutputSchema Compile(string schema)
    {
        using var document = JsonDocument.Parse(schema);
        var compiled = OutputSchema.Compile(document.RootElement, out var fault);
        Assert.True(compiled is not null, $"{fault.At}: {fault.Reason}");
        return compiled!;
    }
}
