using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Fairlead.Providers.Simulated;

namespace Fairlead.Tests.Providers.Simulated;

public sealed class SchemaInstanceTests
{
    public static TheoryData<string> Schemas => new(
        """{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"},"c":{"type":"number"},"d":{"type":"boolean"},"e":{"type":"null"}},"required":["a","b","c","d","e"],"additionalProperties":false}""",
        """{"type":"object","properties":{"color":{"enum":["red","green"]},"kind":{"const":"fruit"},"maybe":{"type":["string","null"]}},"required":["color","kind","maybe"],"additionalProperties":false}""",
        """{"type":"object","properties":{"n":{"type":"integer","minimum":5,"maximum":7},"x":{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1},"m":{"type":"integer","multipleOf":7,"minimum":10},"f":{"type":"number","multipleOf":0.1,"minimum":1,"maximum":2},"neg":{"type":"integer","maximum":-3},"ei":{"type":"integer","exclusiveMinimum":3,"exclusiveMaximum":5}},"required":["n","x","m","f","neg","ei"],"additionalProperties":false}""",
        """{"type":"object","properties":{"items":{"type":"array","minItems":2,"maxItems":3,"items":{"type":"object","properties":{"id":{"type":"string","pattern":"^[A-Z]{2}-\\d{3,5}(x|yz)?$"}},"required":["id"],"additionalProperties":false}}},"required":["items"],"additionalProperties":false}""",
        """{"type":"object","properties":{"v":{"anyOf":[{"type":"string"},{"type":"object","properties":{"q":{"type":"integer"}},"required":["q"],"additionalProperties":false}]}},"required":["v"],"additionalProperties":false}""",
        """{"type":"object","properties":{"value":{"type":"integer"},"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},"required":["value","next"],"additionalProperties":false}""",
        """{"type":"object","properties":{"tree":{"$ref":"#/$defs/node"}},"required":["tree"],"additionalProperties":false,"$defs":{"node":{"type":"object","properties":{"name":{"type":"string","minLength":30},"children":{"type":"array","items":{"$ref":"#/$defs/node"}}},"required":["name","children"],"additionalProperties":false}}}""",
        """{"type":"object","properties":{"s":{"type":"string","maxLength":2}},"required":["s"]}""");

    [Theory]
    [MemberData(nameof(Schemas))]
    public void Make_StrictSchema_ReturnsValidInstance(string text)
    {
        var schema = JsonNode.Parse(text)!.AsObject();
        for (var seed = 0UL; seed < 50; seed++)
        {
            var made = SchemaInstance.Make(schema, new SimulatedRandom(seed));
            Assert.True(Valid(schema, schema, made, 0), $"{made?.ToJsonString()} for {text}");
            Assert.Equal(made?.ToJsonString(), SchemaInstance.Make(schema, new SimulatedRandom(seed))?.ToJsonString());
        }
    }

    [Theory]
    [InlineData("date-time", @"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    [InlineData("date", @"^\d{4}-\d\d-\d\d$")]
    [InlineData("time", @"^\d\d:\d\d:\d\dZ$")]
    [InlineData("duration", @"^PT\d+M$")]
    [InlineData("email", @"^\w+@example\.com$")]
    [InlineData("hostname", @"^\w+\.example\.com$")]
    [InlineData("ipv4", @"^192\.0\.2\.\d+$")]
    [InlineData("ipv6", @"^2001:db8::\d$")]
    [InlineData("uuid", @"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$")]
    public void Make_StringFormat_MatchesFormat(string format, string pattern)
    {
        var made = (string)SchemaInstance.Make(new JsonObject { ["type"] = "string", ["format"] = format }, new SimulatedRandom(5))!;
        Assert.Matches(pattern, made);
    }

    [Theory]
    [InlineData("""{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}""")]
    [InlineData("""{"$ref":"#"}""")]
    [InlineData("""{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}""")]
    [InlineData("""{"type":"array","minItems":1000000000,"items":{"type":"array","minItems":1000000000,"items":{"type":"string","minLength":1000000000}}}""")]
    [InlineData("""{"type":"string","pattern":"(((a{1000}){1000}){1000})"}""")]
    [InlineData("""{"type":"string","pattern":"(a+)+$("}""")]
    [InlineData("""{"type":17,"enum":[],"anyOf":[],"required":[1,null],"properties":{"x":true}}""")]
    [InlineData("""{"type":"object","required":["x","y"],"properties":{"x":{"allOf":[{"type":"object","properties":{"p":{"type":"string"}}},{"required":["p"]}]}}}""")]
    [InlineData("""{"type":"integer","minimum":1e308,"multipleOf":1e-300}""")]
    [InlineData("""{"type":"number","minimum":10,"maximum":1}""")]
    [InlineData("""{}""")]
    public void Make_HostileSchema_StaysBoundedAndNeverThrows(string text)
    {
        var made = SchemaInstance.Make(JsonNode.Parse(text)!.AsObject(), new SimulatedRandom(1));
        Assert.True((made?.ToJsonString(new JsonSerializerOptions { MaxDepth = 200 }).Length ?? 0) < 1_000_000);
    }

    // Enough of JSON Schema to hold the strict subset against.
    private static bool Valid(JsonObject root, JsonNode? node, JsonNode? value, int depth)
    {
        if (node is not JsonObject schema || depth > 100) return depth <= 100;
        if ((string?)schema["$ref"] is { } reference)
        {
            JsonNode at = root;
            foreach (var step in reference.TrimStart('#').Split('/', StringSplitOptions.RemoveEmptyEntries)) at = at[step]!;
            return Valid(root, at, value, depth + 1);
        }
        if (schema["anyOf"] is JsonArray any) return any.Any(b => Valid(root, b, value, depth + 1));
        if (schema["enum"] is JsonArray choices) return choices.Any(c => JsonNode.DeepEquals(c, value));
        if (schema.ContainsKey("const")) return JsonNode.DeepEquals(schema["const"], value);
        var types = schema["type"] is JsonArray list ? list.Select(t => (string)t!).ToArray() : schema["type"] is { } one ? [(string)one!] : [];
        var kind = value?.GetValueKind() ?? JsonValueKind.Null;
        if (!types.Any(t => (t, kind) is ("null", JsonValueKind.Null) or ("string", JsonValueKind.String) or ("object", JsonValueKind.Object) or ("array", JsonValueKind.Array)
            or ("number" or "integer", JsonValueKind.Number) or ("boolean", JsonValueKind.True or JsonValueKind.False))) return false;
        switch (kind)
        {
            case JsonValueKind.Object:
                var made = value!.AsObject();
                return (schema["required"] as JsonArray ?? []).All(r => made.ContainsKey((string)r!))
                    && made.All(p => schema["properties"]?[p.Key] is { } s ? Valid(root, s, p.Value, depth + 1) : (bool?)schema["additionalProperties"] != false);
            case JsonValueKind.Array:
                var items = value!.AsArray();
                return items.Count >= ((int?)schema["minItems"] ?? 0) && items.Count <= ((int?)schema["maxItems"] ?? int.MaxValue) && items.All(i => Valid(root, schema["items"], i, depth + 1));
            case JsonValueKind.String:
                var text = (string)value!;
                return ((string?)schema["pattern"] is not { } pattern || Regex.IsMatch(text, pattern)) && text.Length >= ((int?)schema["minLength"] ?? 0) && text.Length <= ((int?)schema["maxLength"] ?? int.MaxValue);
            case JsonValueKind.Number:
                var number = decimal.Parse(value!.ToJsonString(), System.Globalization.NumberStyles.Float, System.Globalization.CultureInfo.InvariantCulture);
                return !(number < Decimal(schema, "minimum")) && !(number > Decimal(schema, "maximum")) && !(number <= Decimal(schema, "exclusiveMinimum")) && !(number >= Decimal(schema, "exclusiveMaximum"))
                    && (Decimal(schema, "multipleOf") is not { } step || number % step == 0) && (types[0] != "integer" || number == decimal.Truncate(number));
            default: return true;
        }
    }

    private static decimal? Decimal(JsonObject schema, string name) => schema[name] is { } n ? decimal.Parse(n.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture) : null;
}
