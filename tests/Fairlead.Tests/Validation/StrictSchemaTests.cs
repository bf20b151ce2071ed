using System.Text;
using Fairlead.Validation;

namespace Fairlead.Tests.Validation;

public sealed class StrictSchemaTests
{
    private static string? Fault(string schema) => StrictSchema.FindError(Encoding.UTF8.GetBytes(schema));

    private static string Object(string property) => $$"""{"type":"object","properties":{"a":{{property}}},"required":["a"],"additionalProperties":false}""";

    [Theory]
    [InlineData("""{"type":"object","properties":{},"required":[],"additionalProperties":false}""")]
    [InlineData("""{"type":"object","additionalProperties":false,"$schema":"https://json-schema.org/draft/2020-12/schema","title":"t"}""")]
    public void FindError_RootInSubset_ReturnsNull(string schema) => Assert.Null(Fault(schema));

    [Theory]
    [InlineData("""{"type":"string","pattern":"^a$","format":"date-time"}""")]
    [InlineData("""{"type":["string","null"],"description":"d"}""")]
    [InlineData("""{"type":"number","minimum":0,"exclusiveMaximum":5,"multipleOf":0.5}""")]
    [InlineData("""{"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3}""")]
    [InlineData("""{"anyOf":[{"type":"string"},{"type":"object","properties":{"b":{"type":"null"}},"required":["b"],"additionalProperties":false}]}""")]
    [InlineData("""{"enum":["x","y"]}""")]
    [InlineData("""{"const":5}""")]
    [InlineData("""{"$ref":"#"}""")]
    public void FindError_PropertyInSubset_ReturnsNull(string property) => Assert.Null(Fault(Object(property)));

    [Fact]
    public void FindError_RecursionThroughDefinitions_ReturnsNull() => Assert.Null(Fault(
        """{"type":"object","properties":{"n":{"$ref":"#/$defs/node"}},"required":["n"],"additionalProperties":false,"$defs":{"node":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["next"],"additionalProperties":false}}}"""));

    [Theory]
    [InlineData("[]", "object")]
    [InlineData("true", "object")]
    [InlineData("""{"type":"array","items":{"type":"string"}}""", "root must have type 'object'")]
    [InlineData("""{"anyOf":[{"type":"object","additionalProperties":false}]}""", "anyOf")]
    [InlineData("""{"type":"object"}""", "additionalProperties")]
    [InlineData("""{"type":"object","additionalProperties":true}""", "additionalProperties")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}""", "required")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"string"}},"required":["b"],"additionalProperties":false}""", "required")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"string"}},"required":["a","b"],"additionalProperties":false}""", "'b'")]
    [InlineData("""{"type":"object","type":"object","additionalProperties":false}""", "twice")]
    public void FindError_RootOutsideSubset_ReturnsReason(string schema, string said) => Assert.Contains(said, Fault(schema), StringComparison.Ordinal);

    [Theory]
    [InlineData("""{"type":"string","minLength":1}""", "minLength")]
    [InlineData("""{"oneOf":[{"type":"string"}]}""", "oneOf")]
    [InlineData("""{"allOf":[{"type":"string"}]}""", "allOf")]
    [InlineData("""{"type":"string","format":"uri"}""", "format")]
    [InlineData("""{"type":"text"}""", "type")]
    [InlineData("""{"type":[]}""", "type")]
    [InlineData("{}", "type")]
    [InlineData("true", "boolean schemas")]
    [InlineData("""{"type":"array"}""", "items")]
    [InlineData("""{"type":"array","items":{"type":"object"}}""", "#/properties/a/items")]
    [InlineData("""{"$ref":"#/$defs/none"}""", "$ref")]
    [InlineData("""{"$ref":"https://example.com/x"}""", "$ref")]
    [InlineData("""{"enum":[]}""", "enum")]
    [InlineData("""{"type":"array","items":{"type":"string"},"minItems":-1}""", "minItems")]
    [InlineData("""{"type":"object","patternProperties":{},"additionalProperties":false}""", "patternProperties")]
    public void FindError_PropertyOutsideSubset_NamesLocation(string property, string said)
    {
        var fault = Fault(Object(property));
        Assert.Contains(said, fault, StringComparison.Ordinal);
        Assert.Contains("#/properties/a", fault, StringComparison.Ordinal);
    }

    [Fact]
    public void FindError_Limits_AreEnforced()
    {
        string Nested(int levels) => levels == 1 ? """{"type":"object","additionalProperties":false}""" : Object(Nested(levels - 1));
        Assert.Null(Fault(Nested(StrictSchema.MaxLevels)));
        Assert.Contains("levels", Fault(Nested(StrictSchema.MaxLevels + 1)), StringComparison.Ordinal);

        string Enum(int count, int length) => Object($$"""{"enum":[{{string.Join(',', Enumerable.Range(0, count).Select(i => $"\"{i.ToString().PadLeft(length, 'x')}\""))}}]}""");
        Assert.Null(Fault(Enum(StrictSchema.MaxEnumValues, 8)));
        Assert.Contains("enum values", Fault(Enum(StrictSchema.MaxEnumValues + 1, 8)), StringComparison.Ordinal);
        Assert.Null(Fault(Enum(StrictSchema.LargeEnum, 100)));
        Assert.Contains("characters", Fault(Enum(StrictSchema.LargeEnum + 1, 100)), StringComparison.Ordinal);
        Assert.Contains("characters", Fault(Enum(200, 700)), StringComparison.Ordinal);

        string Wide(int count)
        {
            var names = Enumerable.Range(0, count).Select(i => $"p{i}").ToList();
            return $$"""{"type":"object","properties":{ {{string.Join(',', names.Select(n => $$"""{{'"'}}{{n}}{{'"'}}:{"type":"null"}"""))}} },"required":[{{string.Join(',', names.Select(n => $"\"{n}\""))}}],"additionalProperties":false}""";
        }
        Assert.Null(Fault(Wide(StrictSchema.MaxProperties)));
        Assert.Contains("properties", Fault(Wide(StrictSchema.MaxProperties + 1)), StringComparison.Ordinal);
    }
}
