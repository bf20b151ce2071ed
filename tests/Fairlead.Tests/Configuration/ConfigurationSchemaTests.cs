using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Fairlead.Configuration;

namespace Fairlead.Tests.Configuration;

public sealed class ConfigurationSchemaTests
{
    [Fact]
    public void Schema_Keys_MatchThoseTheReaderAccepts()
    {
        foreach (var (path, key) in Paths(ConfigurationSchema.Build(ConfigurationSections.BuiltIn), []))
        {
            // A section as value is wrong for every key that is not one, and a list is for every section: never "not known".
            var faults = Faults(path, key, "{ nothing-of-the-kind: 1 }");
            Assert.DoesNotContain(faults, f => f.Key == string.Join('.', [.. path, key]) && f.Problem.Contains("not known", StringComparison.Ordinal));
            // And a slip of it is unknown to both.
            Assert.Contains(Faults(path, key + "x", "1"), f => f.Problem.Contains("not known", StringComparison.Ordinal) || path.Count == 0);
        }
    }

    [Fact]
    public void Schema_FullSample_IsAcceptedAndFullyCovered()
    {
        var faults = new List<ConfigurationError>();
        var root = ConfigFileParser.Parse("fairlead.yaml", Samples.Whole.Replace("${KEY_ONE}", "key", StringComparison.Ordinal), faults)!;
        var problems = new List<string>();
        Validate(root, ConfigurationSchema.Build(ConfigurationSections.BuiltIn), "", problems);
        Assert.Empty(problems);
    }

    [Theory]
    [InlineData("fairlead: { drainTimeout: 10 }")]
    [InlineData("fairlead: { requests: { maxDepth: 100000 } }")]
    [InlineData("fairlead: { contentPolicy: { policies: { p: { rules: [{ id: r, type: wordz, action: block }] } } } }")]
    [InlineData("fairlead: { limits: { onStoreFailure: ignore } }")]
    [InlineData("fairlead: { models: { m: { prices: { input: 1 } } } }")]
    [InlineData("fairlead: { models: { m: { lifecycle: { state: old } } } }")]
    [InlineData("fairlead: { models: { m: { capabilities: { tools: maybe } } } }")]
    [InlineData("fairlead: { models: { m: { limits: { requestsPerMinute: 0 } } } }")]
    [InlineData("fairlead: { limits: { defaults: { usd_per_day: 9000001 } } }")]
    [InlineData("fairlead: { limits: { defaults: { elastic: { min: 2 } } } }")]
    [InlineData("fairlead: { limits: { defaults: { classes: { bulk: { classes: {} } } } } }")]
    public void Schema_ConfigurationTheReaderRefuses_IsRefusedToo(string yaml)
    {
        Assert.NotEmpty(ConfigurationReader.Read(new ConfigurationInput(), ConfigurationSections.BuiltIn, "fairlead.yaml", Encoding.UTF8.GetBytes(yaml)).Errors);
        var problems = new List<string>();
        Validate(ConfigFileParser.Parse("fairlead.yaml", yaml, [])!, ConfigurationSchema.Build(ConfigurationSections.BuiltIn), "", problems);
        Assert.NotEmpty(problems);
    }

    private static IReadOnlyList<ConfigurationError> Faults(IReadOnlyList<string> path, string key, string value)
    {
        var yaml = string.Concat(path.Select(p => $"{{ {p}: ")) + $"{{ {key}: {value} }}" + new string('}', path.Count);
        return ConfigurationReader.Read(new ConfigurationInput(), ConfigurationSections.BuiltIn, "fairlead.yaml", Encoding.UTF8.GetBytes(yaml)).Errors;
    }

    private static IEnumerable<(IReadOnlyList<string> Path, string Key)> Paths(JsonObject schema, IReadOnlyList<string> path)
    {
        foreach (var (name, value) in schema["properties"]?.AsObject() ?? [])
        {
            yield return (path, name);
            foreach (var inner in Paths(value!.AsObject(), [.. path, name])) yield return inner;
        }
        if (schema["additionalProperties"] is JsonObject item)
        {
            foreach (var inner in Paths(item, [.. path, "entry"])) yield return inner;
        }
    }

    // As much of JSON Schema as the generated one uses.
    private static void Validate(ConfigNode node, JsonObject schema, string path, List<string> problems)
    {
        if (schema["anyOf"] is JsonArray choices)
        {
            if (!choices.Any(choice => Passes(node, choice!.AsObject()))) problems.Add($"{path}: fits no choice");
            return;
        }
        var types = schema["type"] switch { JsonArray several => several.Select(t => t!.GetValue<string>()).ToArray(), { } one => [one.GetValue<string>()], _ => [] };
        switch (node)
        {
            case ConfigMap map:
                if (!types.Contains("object")) problems.Add($"{path}: no object expected");
                foreach (var (name, value) in map.Entries)
                {
                    if (schema["properties"]?[name] is JsonObject property) Validate(value, property, $"{path}/{name}", problems);
                    else if (schema["additionalProperties"] is JsonObject item) Validate(value, item, $"{path}/{name}", problems);
                    else problems.Add($"{path}/{name}: not in the schema");
                }
                foreach (var required in schema["required"]?.AsArray() ?? [])
                {
                    if (map.Find(required!.GetValue<string>()) is null) problems.Add($"{path}/{required}: missing");
                }
                break;
            case ConfigList list:
                if (!types.Contains("array")) problems.Add($"{path}: no array expected");
                else for (var i = 0; i < list.Items.Count; i++) Validate(list.Items[i], schema["items"]!.AsObject(), $"{path}/{i}", problems);
                break;
            case ConfigScalar { Value: null }:
                if (!types.Contains("null")) problems.Add($"{path}: null");
                break;
            case ConfigScalar { Value: { } text }:
                if (schema["enum"] is JsonArray words && !words.Any(w => w!.GetValue<string>() == text)) problems.Add($"{path}: not in enum");
                if (schema["pattern"] is { } pattern && !Regex.IsMatch(text, pattern.GetValue<string>())) problems.Add($"{path}: does not match");
                if (types.Contains("boolean") && text is not ("true" or "false")) problems.Add($"{path}: no boolean");
                if (types.Contains("integer") || types.Contains("number"))
                {
                    if (!decimal.TryParse(text.Replace("_", "", StringComparison.Ordinal), out var number)) problems.Add($"{path}: no number");
                    else if (number < decimal.Parse(schema["minimum"]!.ToJsonString(), null) || number > decimal.Parse(schema["maximum"]!.ToJsonString(), null)) problems.Add($"{path}: out of range");
                }
                if (types is ["object", ..] or ["array", ..]) problems.Add($"{path}: no single value expected");
                break;
        }
    }

    private static bool Passes(ConfigNode node, JsonObject schema)
    {
        var problems = new List<string>();
        Validate(node, schema, "", problems);
        return problems.Count == 0;
    }
}
