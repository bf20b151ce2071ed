using System.Text.Json.Nodes;

namespace Fairlead.FunctionalTests.Common.JsonSchema;

/// <summary>The validator must be able to say no: every keyword that it checks, once fitting and once not.</summary>
public sealed class SchemaValidatorTests
{
    [Theory]
    [InlineData("""{"type":"string"}""", "\"a\"", "1")]
    [InlineData("""{"type":["integer","null"]}""", "null", "1.5")]
    [InlineData("""{"type":"number"}""", "1", "\"1\"")]
    [InlineData("""{"type":"boolean"}""", "true", "0")]
    [InlineData("""{"const":"a"}""", "\"a\"", "\"b\"")]
    [InlineData("""{"enum":["a",null]}""", "null", "\"b\"")]
    [InlineData("""{"required":["a"]}""", """{"a":null}""", "{}")]
    [InlineData("""{"properties":{"a":{"type":"integer"}}}""", """{"a":1,"b":2}""", """{"a":"1"}""")]
    [InlineData("""{"properties":{"a":{}},"additionalProperties":false}""", """{"a":1}""", """{"a":1,"b":2}""")]
    [InlineData("""{"additionalProperties":{"type":"string"}}""", """{"a":"b"}""", """{"a":1}""")]
    [InlineData("""{"propertyNames":{"maxLength":1}}""", """{"a":1}""", """{"ab":1}""")]
    [InlineData("""{"minProperties":1}""", """{"a":1}""", "{}")]
    [InlineData("""{"maxProperties":1}""", """{"a":1}""", """{"a":1,"b":1}""")]
    [InlineData("""{"items":{"type":"integer"}}""", "[1,2]", "[1,\"2\"]")]
    [InlineData("""{"prefixItems":[{"type":"string"}],"items":{"type":"integer"}}""", "[\"a\",1]", "[1,1]")]
    [InlineData("""{"minItems":1}""", "[1]", "[]")]
    [InlineData("""{"maxItems":1}""", "[1]", "[1,2]")]
    [InlineData("""{"minLength":1}""", "\"a\"", "\"\"")]
    [InlineData("""{"maxLength":1}""", "\"a\"", "\"ab\"")]
    [InlineData("""{"pattern":"^a+$"}""", "\"aa\"", "\"ab\"")]
    [InlineData("""{"minimum":1}""", "1", "0.5")]
    [InlineData("""{"maximum":1}""", "1", "1e400")]
    [InlineData("""{"exclusiveMinimum":1}""", "1.5", "1")]
    [InlineData("""{"exclusiveMaximum":1}""", "0", "1")]
    [InlineData("""{"allOf":[{"minimum":1},{"maximum":2}]}""", "2", "3")]
    [InlineData("""{"anyOf":[{"type":"string"},{"minimum":2}]}""", "2", "1")]
    [InlineData("""{"oneOf":[{"type":"integer"},{"minimum":2}]}""", "1", "2")]
    [InlineData("""{"not":{"type":"string"}}""", "1", "\"1\"")]
    [InlineData("""{"if":{"type":"string"},"then":{"minLength":1},"else":{"type":"integer"}}""", "1", "\"\"")]
    [InlineData("""{"$ref":"#/$defs/a","$defs":{"a":{"type":"array","items":{"$ref":"#/$defs/a"}}}}""", "[[],[[]]]", "[[1]]")]
    [InlineData("""{"$ref":"#/$defs/a","nullable":true,"$defs":{"a":{"type":"string"}}}""", "null", "1")]
    [InlineData("false", null, "1")]
    public void Validate_Value_AcceptsValidAndRejectsInvalid(string schema, string? good, string bad)
    {
        var read = new SchemaSet(_ => JsonNode.Parse(schema)!).Get("test.json");
        if (good is not null) Assert.Empty(read.Faults(JsonNode.Parse(good)));
        Assert.NotEmpty(read.Faults(JsonNode.Parse(bad)));
    }

    [Fact]
    public void SchemaValidator_UnknownKeyword_Throws() =>
        Assert.Throws<InvalidOperationException>(() => new SchemaSet(_ => JsonNode.Parse("""{"multipleOf":2}""")!).Get("test.json").Faults(JsonNode.Parse("3")));
}
