using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Conversation;
using Fairlead.Providers.Simulated;
using Fairlead.StructuredOutput;
using Fairlead.Validation;

namespace Fairlead.Tests.StructuredOutput;

/// <summary>Schemas whose only purpose is to cost: every reader of schemas ends soon, and none by the end of its stack.</summary>
public sealed class SchemaBombTests
{
    // Far more than any of them needs; without a limit most would run for minutes, or end the process.
    private static readonly TimeSpan Enough = TimeSpan.FromSeconds(15);

    /// <summary>Name, schema, and an output to hold against it.</summary>
    public static TheoryData<string> Names => [.. Bombs.Keys];

    private static readonly Dictionary<string, Func<string>> Bombs = new(StringComparer.Ordinal)
    {
        ["allOf that refers to itself"] = () => """{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}},"required":["a"],"$defs":{"a":{"allOf":[{"$ref":"#/$defs/a"}]}}}""",
        ["allOf circle of two"] = () => """{"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"},{"$ref":"#"}]},"b":{"allOf":[{"$ref":"#/$defs/a"}]}}}""",
        ["anyOf that refers to itself"] = () => """{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}""",
        ["oneOf that refers to itself"] = () => """{"type":"object","properties":{"a":{"oneOf":[{"$ref":"#/properties/a"},{"$ref":"#/properties/a"}]}},"required":["a"]}""",
        ["items that refer to themselves"] = () => """{"type":"array","minItems":3,"items":{"$ref":"#"}}""",
        ["properties that refer to themselves"] = () => """{"type":"object","properties":{"a":{"$ref":"#"},"b":{"$ref":"#"},"c":{"$ref":"#"}},"required":["a","b","c"]}""",
        ["chain of references"] = () => Chain(9_990, i => $$"""{"$ref":"#/$defs/d{{i}}"}"""),
        ["chain of references through allOf"] = () => Chain(9_000, i => $$"""{"allOf":[{"$ref":"#/$defs/d{{i}}"}]}"""),
        ["chain of references through anyOf"] = () => Chain(4_900, i => $$"""{"anyOf":[{"$ref":"#/$defs/d{{i}}"}]}"""),
        ["chain of references through properties"] = () => Chain(4_900, i => $$$"""{"type":"object","properties":{"a":{"$ref":"#/$defs/d{{{i}}}"}},"required":["a"]}"""),
        ["chain of references through items"] = () => Chain(4_900, i => $$$"""{"type":"array","minItems":1,"items":{"$ref":"#/$defs/d{{{i}}}"}}"""),
        ["doubling by allOf"] = () => Chain(60, i => $$"""{"minLength":0,"allOf":[{"$ref":"#/$defs/d{{i}}"},{"$ref":"#/$defs/d{{i}}"}]}"""),
        ["doubling by anyOf"] = () => Chain(60, i => $$"""{"minLength":0,"anyOf":[{"$ref":"#/$defs/d{{i}}"},{"$ref":"#/$defs/d{{i}}"}]}""", "false"),
        ["doubling by oneOf"] = () => Chain(60, i => $$"""{"minLength":0,"oneOf":[{"$ref":"#/$defs/d{{i}}"},{"$ref":"#/$defs/d{{i}}"}]}"""),
        ["doubling by properties"] = () => Chain(60, i => $$$"""{"type":"object","properties":{"a":{"$ref":"#/$defs/d{{{i}}}"},"b":{"$ref":"#/$defs/d{{{i}}}"}},"required":["a","b"]}"""),
        ["doubling by prefixItems"] = () => Chain(60, i => $$"""{"type":"array","prefixItems":[{"$ref":"#/$defs/d{{i}}"},{"$ref":"#/$defs/d{{i}}"}]}"""),
        ["wide allOf"] = () => """{"type":"array","minItems":1000,"items":{"type":"array","minItems":20,"items":{"allOf":[""" + Many(4_000, i => $$$$"""{"properties":{"p{{{{i}}}}":{"const":"{{{{new string('x', 200)}}}}"}}}""") + "]}}}",
        ["many wide allOf"] = () => Object("properties", Many(2_000, i => $"\"p{i}\":{{\"allOf\":[{{\"$ref\":\"#/$defs/all\"}}]}}"), "\"$defs\":{\"all\":{\"allOf\":[" + Many(1_500, i => $$"""{"title":"t{{i}}"}""") + "]}}"),
        ["large constant at many places"] = () => Array(Array($$"""{"const":"{{new string('x', 500_000)}}"}""")),
        ["large enum at many places"] = () => Array("{\"enum\":[" + Many(50_000, i => $"\"v{i}\"") + "]}"),
        ["many branches at many places"] = () => Array("{\"anyOf\":[" + Many(9_000, i => $$"""{"minLength":{{i}},"type":"string"}""") + "]}"),
        ["many required"] = () => Array("{\"type\":\"object\",\"required\":[" + Many(50_000, i => $"\"r{i}\"") + "]}"),
        ["many properties"] = () => Array(Object("properties", Many(9_000, i => $"\"r{i}\":{{}}"))),
        ["long names"] = () => Object("properties", "\"" + new string('n', 400_000) + "\":" + Object("properties", Many(9_000, i => $"\"r{i}\":{{\"type\":\"string\"}}"))),
        ["long pointer"] = () => Object("properties", "\"a\":{\"$ref\":\"#" + string.Concat(Enumerable.Repeat("/properties/a", 30_000)) + "\"}"),
        ["pointer of empty names"] = () => $$"""{"$ref":"#{{new string('/', 500_000)}}"}""",
        ["many references"] = () => Object("properties", Many(4_900, i => $"\"p{i}\":{{\"$ref\":\"#/$defs/d{i}\"}}"), "\"$defs\":{" + Many(4_900, i => $"\"d{i}\":{{\"type\":\"string\"}}") + "}"),
        ["types without end"] = () => $$"""{"type":[{{Many(60_000, _ => "\"string\"")}}]}""",
        ["many patterns"] = () => Object("properties", Many(9_000, i => $$"""
            "p{{i}}":{"type":"string","pattern":"^[a-z]{1,20}[0-9]{1,30}x{{i}}$"}
            """)),
        ["one pattern at many places"] = () => """{"type":"array","minItems":1000,"items":{"type":"array","minItems":1000,"items":{"type":"string","pattern":"^([a-z]{1,20}-?){10}$"}}}""",
        ["pattern that multiplies itself"] = () => """{"type":"string","pattern":"((((a{1,100}){1,100}){1,100}){1,100}){1,100}"}""",
        ["long pattern"] = () => $$"""{"type":"string","pattern":"{{string.Concat(Enumerable.Repeat("(a|b)", 50_000))}}"}""",
    };

    [Theory]
    [MemberData(nameof(Names))]
    public void SchemaReaders_BombSchema_FinishQuickly(string name)
    {
        var text = Bombs[name]();
        Assert.True(Encoding.UTF8.GetByteCount(text) < 2_000_000);
        var since = ProcessorTime.OfThread();

        var made = SchemaInstance.Make(JsonNode.Parse(text)!.AsObject(), new SimulatedRandom(1));
        var document = made?.ToJsonString(new JsonSerializerOptions { MaxDepth = 1000 }) ?? "null";
        Assert.True(document.Length < 3_000_000, $"{document.Length} characters");

        StrictSchema.FindError(Encoding.UTF8.GetBytes(text));

        using var parsed = JsonDocument.Parse(text);
        if (OutputSchema.Compile(parsed.RootElement, out var fault) is { } schema)
        {
            schema.CompilePatterns();
            foreach (var output in (string[])[document, "1", "\"" + new string('a', 20_000) + "\"", """{"a":{"a":{"a":[[[1]]]}}}""", "[" + string.Join(',', Enumerable.Repeat("{}", 2_000)) + "]"])
            {
                schema.Check(Encoding.UTF8.GetBytes(output));
                using var partial = new PartialJson(schema);
                var found = new List<PartialValue>();
                foreach (var piece in output.Chunk(5_000)) partial.Add(new string(piece), found);
                partial.Finish(found);
            }
        }
        else
        {
            Assert.True(fault.At.Length < 400 && fault.Reason.Length < 400);
        }
        Assert.True(ProcessorTime.OfThread() - since < Enough, $"{name}: {ProcessorTime.OfThread() - since}");
    }

    /// <summary>Each makes a reader who is wrong about the end of a class, an escape or a comment pass over the repetitions.</summary>
    [Theory]
    [InlineData("[-[](x{900}){9}")]
    [InlineData("[^-[](x{900}){9}")]
    [InlineData(@"[a\-[b](x{900}){9}")]
    [InlineData("[+--[](x{900}){9}")]
    [InlineData("[a-z-[b]](x{900}){9}")]
    [InlineData(@"[\p{L}--[a]](x{900}){9}")]
    [InlineData("[]](x{900}){9}")]
    [InlineData("[[::]](x{900}){9}")]
    [InlineData("(a{900}[)]b){9}")]
    [InlineData("(a{900}[](]b){9}")]
    [InlineData(@"\c[(x{900}){9}")]
    [InlineData("(a{900}(?#()b){9}")]
    public void SizeOf_HiddenRepetition_IsCounted(string pattern)
    {
        Assert.True(new SchemaPattern(pattern).TryCompile());
        Assert.InRange(SchemaPattern.SizeOf(pattern), 8_000, 9_000);
    }

    [Theory]
    [InlineData("^[a-z-[aeiou]]{3}$", 10)]
    [InlineData(@"^[^\]\[]+[](){}-]{2,20}$", 40)]
    [InlineData(@"^\p{Lu}\p{IsLatin-1Supplement}{3}\d{4}-\d{2}(?i:z)$", 30)]
    public void SizeOf_OrdinaryPattern_IsSmall(string pattern, int most)
    {
        Assert.True(new SchemaPattern(pattern).TryCompile());
        Assert.InRange(SchemaPattern.SizeOf(pattern), 1, most);
    }

    [Theory]
    [InlineData("(?x)#(\\n(x{900}){9}")]
    [InlineData("a(?i-nx:b #(\\n)")]
    public void Compile_PatternWithOptionX_ReturnsReason(string pattern)
    {
        using var document = JsonDocument.Parse($$"""{"pattern":"{{pattern}}"}""");
        Assert.Null(OutputSchema.Compile(document.RootElement, out var fault));
        Assert.Equal(("pattern", "the option x is not supported"), fault);
    }

    [Fact]
    public void Compile_ChainOfAHundredReferences_IsChecked()
    {
        var schema = OutputSchemaTests.Compile(Chain(90, i => $$"""{"$ref":"#/$defs/d{{i}}"}"""));
        Assert.Empty(schema.Check("\"x\""u8.ToArray()));
        Assert.NotEmpty(schema.Check("1"u8.ToArray()));
    }

    [Fact]
    public void Compile_ChainOfAThousandReferences_ReturnsReason()
    {
        using var document = JsonDocument.Parse(Chain(1_000, i => $$"""{"$ref":"#/$defs/d{{i}}"}"""));
        Assert.Null(OutputSchema.Compile(document.RootElement, out var fault));
        Assert.Contains("refer to each other", fault.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Compile_LongLinkedListOfReferences_IsChecked()
    {
        // Thousands of schemas that lead from one to the next, each a step deeper into the value: what a program writes, and no attack.
        var schema = OutputSchemaTests.Compile(Chain(4_900, i => $$$$"""{"type":"object","properties":{"a":{"$ref":"#/$defs/d{{{{i}}}}"}}}""", """{"type":"object"}"""));
        Assert.Empty(schema.Check("""{"a":{"a":{"a":{}}}}"""u8.ToArray()));
        Assert.Equal("/a/a", Assert.Single(schema.Check("""{"a":{"a":1}}"""u8.ToArray())).Pointer);
    }

    [Theory]
    [InlineData("""{"pattern":"(?=a)"}""")]
    [InlineData("""{"pattern":"(a)\\1"}""")]
    [InlineData("""{"pattern":"("}""")]
    public void CompilePatterns_NonLinearPattern_ReturnsLocation(string schema) => Assert.Equal("pattern", OutputSchemaTests.Compile(schema).CompilePatterns());

    [Theory]
    [InlineData(100, 0, "")]
    [InlineData(101, 0, "more than 100 different patterns")]
    [InlineData(1, 1000, "")]
    [InlineData(1, 1001, "longer than 1,000 characters")]
    [InlineData(30, 900, "too large together")]
    public void Compile_PatternsAboveLimits_AreRefused(int count, int length, string reason)
    {
        var schema = Object("properties", Many(count, i => $"\"p{i}\":{{\"pattern\":\"{i.ToString(CultureInfo.InvariantCulture).PadRight(length, 'a')}\"}}"));
        using var document = JsonDocument.Parse(schema);
        var compiled = OutputSchema.Compile(document.RootElement, out var fault);
        Assert.Equal(reason.Length == 0, compiled is not null);
        if (reason.Length > 0) Assert.Contains(reason, fault.Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("abc", 3)]
    [InlineData("[a-z]{5}", 5)]
    [InlineData("a{2,10}", 10)]
    [InlineData("(ab){10}", 30)]
    [InlineData("((a{10}){10}){10}", 1110)]
    [InlineData("a{", 2)]
    [InlineData(@"\{2}", 3)]
    public void SizeOf_Pattern_MultipliesCharactersByRepetitions(string pattern, long size) => Assert.Equal(size, SchemaPattern.SizeOf(pattern));

    [Fact]
    public void SizeOf_AnyText_NeverThrows() =>
        Gen.String[Gen.Char[@"ab\[](){}|*+?.^-,0129"], 0, 30].Sample(pattern => SchemaPattern.SizeOf(pattern) >= 0 || pattern.Length == 0, iter: 20_000);

    [Fact]
    public void IsMatch_LargestAllowedPatterns_FinishQuickly()
    {
        var texts = new[] { new string('a', 100_000), string.Concat(Enumerable.Repeat("ab1-", 25_000)) };
        foreach (var text in (string[])["^(a|ab|b1|[a-z0-9-]){1,190}$", "(.*a){100}b", "(a?){500}a{500}", @"(\w+\s*){200}!", "[ab]*a[ab]{200}c"])
        {
            Assert.True(SchemaPattern.SizeOf(text) <= SchemaPattern.MaxSize, text);
            var pattern = new SchemaPattern(text);
            Assert.True(pattern.TryCompile(), text);
            var since = ProcessorTime.OfThread();
            foreach (var value in texts) pattern.IsMatch(value);
            Assert.True(ProcessorTime.OfThread() - since < TimeSpan.FromSeconds(10), text);
        }
    }

    private static string Chain(int count, Func<int, string> link, string end = """{"type":"string"}""") =>
        "{\"$ref\":\"#/$defs/d0\",\"$defs\":{" + Many(count, i => $"\"d{i}\":{link(i + 1)}") + $",\"d{count}\":{end}" + "}}";

    private static string Object(string member, string members, string? more = null) => "{\"type\":\"object\",\"" + member + "\":{" + members + "}" + (more is null ? "" : "," + more) + "}";

    private static string Array(string items) => "{\"type\":\"array\",\"minItems\":1000,\"items\":" + items + "}";

    private static string Many(int count, Func<int, string> one) => string.Join(',', Enumerable.Range(0, count).Select(one));
}
