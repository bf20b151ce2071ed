using System.Globalization;
using System.Text.Json.Nodes;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;
using YamlScalar = YamlDotNet.Core.Events.Scalar;

namespace Fairlead.Documentation;

/// <summary>Converts the project's own YAML to JSON: plain scalars by YAML's JSON schema, everything quoted or in blocks as text.</summary>
internal static class YamlToJson
{
    /// <exception cref="InvalidOperationException">The text is not one YAML map.</exception>
    public static JsonObject Parse(string name, string text)
    {
        try
        {
            var parser = new Parser(new StringReader(text));
            parser.Consume<StreamStart>();
            parser.Consume<DocumentStart>();
            return Read(parser) as JsonObject ?? throw new InvalidOperationException($"{name} is not a map.");
        }
        catch (YamlException fault)
        {
            throw new InvalidOperationException($"{name}, line {fault.Start.Line}: {fault.Message}", fault);
        }
    }

    private static JsonNode? Read(Parser parser)
    {
        if (parser.TryConsume<YamlScalar>(out var scalar)) return ScalarOf(scalar);
        if (parser.TryConsume<SequenceStart>(out _))
        {
            var array = new JsonArray();
            while (!parser.TryConsume<SequenceEnd>(out _)) array.Add(Read(parser));
            return array;
        }
        parser.Consume<MappingStart>();
        var map = new JsonObject();
        while (!parser.TryConsume<MappingEnd>(out _)) map.Add(parser.Consume<YamlScalar>().Value, Read(parser));
        return map;
    }

    private static JsonNode? ScalarOf(YamlScalar scalar)
    {
        if (scalar.Style != ScalarStyle.Plain) return scalar.Value;
        return scalar.Value switch
        {
            "null" or "~" or "" => null,
            "true" => true,
            "false" => false,
            var text when long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) => whole,
            var text when decimal.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint,
                CultureInfo.InvariantCulture, out var number) => number,
            var text => text,
        };
    }
}
