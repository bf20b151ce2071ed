using System.Text.Json;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Conversation;
using Fairlead.StructuredOutput;

namespace Fairlead.Tests.StructuredOutput;

public sealed class PartialJsonTests
{
    private static readonly string[] KnownNames = ["a", "b", "c/d", "e~f", "é\"\\", ""];

    private static readonly Gen<string> Names = Gen.Int[0, KnownNames.Length - 1].Select(index => KnownNames[index]);

    private static readonly Gen<JsonNode?> Scalars = Gen.OneOf<JsonNode?>(
        Gen.Int.Select(number => (JsonNode?)JsonValue.Create(number)), Gen.Double[-1e6, 1e6].Select(number => (JsonNode?)JsonValue.Create(Math.Round(number, 3))), Gen.Bool.Select(word => (JsonNode?)JsonValue.Create(word)),
        Gen.String[Gen.Char["ab\"\\\n{}[],: é😀"[..12]], 0, 12].Select(text => (JsonNode?)JsonValue.Create(text)), Gen.Const((JsonNode?)null));

    private static readonly Gen<JsonNode?> Documents = Values(4);

    [Fact]
    public void Add_AnyDocumentInAnyChunks_EmitsEachValueOnceInOrder()
    {
        var schema = OutputSchemaTests.Compile("true");
        Gen.Select(Documents, Gen.Bool, Gen.Int[1, 7]).Sample(input =>
        {
            var (document, indented, size) = input;
            var text = document?.ToJsonString(new JsonSerializerOptions { WriteIndented = indented }) ?? "null";
            var found = Read(schema, text, size, out var violations);
            var wanted = new List<(string Pointer, string Json)>();
            Walk("", document, wanted);
            return violations.Count == 0
                && wanted.Select(one => one.Pointer).SequenceEqual(found.Select(one => one.Pointer))
                && found.All(one => !one.Json.Contains('\n', StringComparison.Ordinal))
                && wanted.Zip(found).All(pair => JsonNode.DeepEquals(JsonNode.Parse(pair.First.Json), JsonNode.Parse(pair.Second.Json)));
        }, iter: 2000);
    }

    [Fact]
    public void Add_ValuesViolatingSchema_AreNotEmitted()
    {
        var schema = OutputSchemaTests.Compile("""
            {"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"},"tags":{"type":"array","items":{"type":"string"}},"home":{"$ref":"#/$defs/home"}},"additionalProperties":false,
             "$defs":{"home":{"type":"object","properties":{"city":{"type":"string"}},"required":["city","zip"]}}}
            """);
        var found = Read(schema, """{"name":"Ada","age":"old","tags":["a",1,"b"],"home":{"city":"Oslo"},"more":{"x":1}}""", 3, out var violations);
        Assert.Equal(["/name", "/tags/0", "/tags/2", "/home/city"], found.Select(one => one.Pointer));
        Assert.Equal(["/age", "/tags/1", "/home", "/more"], violations.Select(one => one.Pointer));
    }

    [Fact]
    public void Add_AllOfAndAnyOfSchemas_AreAllChecked()
    {
        var schema = OutputSchemaTests.Compile("""{"allOf":[{"properties":{"a":{"minimum":3}}},{"properties":{"a":{"maximum":5}}}],"anyOf":[{"properties":{"b":{"type":"string"}}},{"properties":{"b":{"type":"null"}}}]}""");
        Assert.Equal(["/a", "/b", ""], Read(schema, """{"a":4,"b":null}""", 2, out _).Select(one => one.Pointer));
        Assert.Equal(["/b"], Read(schema, """{"a":9,"b":"x"}""", 2, out _).Select(one => one.Pointer));
        Assert.Empty(Read(schema, """{"a":2,"b":1}""", 2, out _));
    }

    [Theory]
    [InlineData("")]
    [InlineData("no JSON at all")]
    [InlineData("```json\n{\"a\":1}\n```")]
    [InlineData("""{"a":1} and more""")]
    [InlineData("""{"a":1""")]
    [InlineData("""{"a":1,"a":2}""")]
    [InlineData("\"\\ud800\"")]
    public void Finish_InvalidJsonDocument_ReportsViolation(string text)
    {
        var found = Read(OutputSchemaTests.Compile("true"), text, 2, out var violations);
        Assert.Equal("", Assert.Single(violations).Pointer);
        Assert.DoesNotContain(found, one => one.Pointer.Length == 0);
    }

    [Fact]
    public void Add_LongTextInSmallChunks_IsNotReparsed()
    {
        using var json = new PartialJson(OutputSchemaTests.Compile("true"));
        var found = new List<PartialValue>();
        json.Add("[\"", found);
        // A megabyte in pieces of eight: read from its beginning each time it would be sixty gigabytes.
        for (var i = 0; i < 131_072; i++) json.Add("abcdefgh", found);
        json.Add("\"]", found);
        Assert.Empty(json.Finish(found));
        Assert.Equal(["/0", ""], found.Select(one => one.Pointer));
    }

    [Fact]
    public void Add_SchemaTooExpensive_EmitsFewerValuesAndFinishes()
    {
        // Each level tries all of the next: four to the power of the depth.
        var branches = string.Join(',', Enumerable.Repeat("""{"properties":{"a":{"$ref":"#"}}}""", 4));
        var schema = OutputSchemaTests.Compile($$"""{"anyOf":[{{branches}}],"required":["never"]}""");
        var text = string.Concat(Enumerable.Repeat("{\"a\":", 40)) + "1" + new string('}', 40);
        var found = Read(schema, text, 5, out var violations);
        Assert.NotEmpty(violations);
        Assert.True(found.Count < 41);
    }

    private static List<PartialValue> Read(OutputSchema schema, string text, int size, out IReadOnlyList<SchemaViolation> violations)
    {
        using var json = new PartialJson(schema);
        var found = new List<PartialValue>();
        for (var at = 0; at < text.Length;)
        {
            var length = Math.Min(size, text.Length - at);
            if (char.IsHighSurrogate(text[at + length - 1])) length++;
            json.Add(text.Substring(at, length), found);
            at += length;
        }
        violations = json.Finish(found);
        return found;
    }

    private static void Walk(string at, JsonNode? value, List<(string Pointer, string Json)> into)
    {
        if (value is JsonObject members)
        {
            foreach (var (name, member) in members) Walk(SchemaNode.Under(at, name), member, into);
        }
        else if (value is JsonArray items)
        {
            for (var i = 0; i < items.Count; i++) Walk($"{at}/{i}", items[i], into);
        }
        into.Add((at, value?.ToJsonString() ?? "null"));
    }

    private static Gen<JsonNode?> Values(int depth) => depth == 0 ? Scalars : Gen.OneOf(
        Scalars,
        Values(depth - 1).List[0, 4].Select(items => (JsonNode?)new JsonArray([.. items.Select(item => item?.DeepClone())])),
        Gen.Select(Names, Values(depth - 1)).List[0, 4].Select(members => (JsonNode?)new JsonObject(members.DistinctBy(one => one.Item1).Select(one => KeyValuePair.Create(one.Item1, one.Item2?.DeepClone())))));
}
