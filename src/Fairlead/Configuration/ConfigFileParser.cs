using System.Text;
using System.Text.Json;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Fairlead.Configuration;

/// <summary>Turns the text of a configuration file into nodes. Errors of syntax are collected, never thrown.</summary>
internal static class ConfigFileParser
{
    private const int MaxDepth = 32;

    /// <summary>
    /// Parses YAML, or JSON when the name ends in <c>.json</c>. Null when nothing can be used; the errors then say why.
    /// </summary>
    public static ConfigMap? Parse(string name, string text, List<ConfigurationError> errors)
    {
        var root = name.EndsWith(".json", StringComparison.OrdinalIgnoreCase) ? ParseJson(name, text, errors)
            : ParseYaml(name, text, errors);
        switch (root)
        {
            case ConfigMap map: return map;
            case null: return null;
            case ConfigScalar { Value: null }: return new ConfigMap(root.Origin);
            default:
                errors.Add(new("(file)", null, "The file does not contain keys and values.",
                    "Start it with 'fairlead:' and put the settings below, indented.") { Source = name, Line = root.Origin.Line });
                return null;
        }
    }

    private static ConfigNode? ParseYaml(string name, string text, List<ConfigurationError> errors)
    {
        try
        {
            var parser = new Parser(new StringReader(text));
            parser.Consume<StreamStart>();
            if (parser.Accept<StreamEnd>(out _)) return new ConfigScalar(null, new(name));
            parser.Consume<DocumentStart>();
            var node = ReadYaml(parser, name, "", 0, errors);
            parser.Consume<DocumentEnd>();
            if (parser.Accept<DocumentStart>(out var second))
            {
                errors.Add(new("(file)", null, "The file contains more than one document.",
                    "Keep one document; remove the line '---'.") { Source = name, Line = (int)second.Start.Line });
            }
            return node;
        }
        catch (YamlException error)
        {
            errors.Add(new("(file)", null, "The file is not valid YAML: " + Sentence(error.Message),
                "Check indentation, quotes and brackets at this line.") { Source = name, Line = (int)error.Start.Line });
            return null;
        }
        // The parser throws these for some malformed texts.
        catch (Exception error) when (
            error is InvalidOperationException or ArgumentException or IndexOutOfRangeException or FormatException)
        {
            errors.Add(new("(file)", null, "The file is not valid YAML.", "Check indentation, quotes and brackets.") { Source = name });
            return null;
        }
    }

    // A value is located at the line of its key, not at the line of its first entry.
    private static ConfigNode ReadYaml(Parser parser, string name, string path, int depth, List<ConfigurationError> errors,
        int? line = null)
    {
        if (depth > MaxDepth) throw new YamlException(parser.Current!.Start, parser.Current.End, $"nested deeper than {MaxDepth} levels");
        switch (parser.Current)
        {
            case Scalar scalar:
                parser.MoveNext();
                NoAnchor(scalar, name, path, errors);
                var empty = scalar.Style == ScalarStyle.Plain && scalar.Value is ("" or "~" or "null");
                return new ConfigScalar(empty ? null : scalar.Value, empty && line is not null ? new(name, line) : At(scalar));

            case SequenceStart start:
                parser.MoveNext();
                NoAnchor(start, name, path, errors);
                var items = new List<ConfigNode>();
                while (!parser.TryConsume<SequenceEnd>(out _))
                {
                    items.Add(ReadYaml(parser, name, $"{path}[{items.Count}]", depth + 1, errors));
                }
                return new ConfigList(items, line is null ? At(start) : new(name, line));

            case MappingStart start:
                parser.MoveNext();
                NoAnchor(start, name, path, errors);
                var map = new ConfigMap(line is null ? At(start) : new(name, line));
                while (!parser.TryConsume<MappingEnd>(out _))
                {
                    if (!parser.TryConsume<Scalar>(out var key))
                    {
                        throw new YamlException(parser.Current!.Start, parser.Current.End, "a key is a list or a map");
                    }
                    var keyPath = path.Length == 0 ? key.Value : $"{path}.{key.Value}";
                    var value = ReadYaml(parser, name, keyPath, depth + 1, errors, (int)key.Start.Line);
                    if (!map.TryAdd(key.Value, value)) errors.Add(Twice(keyPath) with { Source = name, Line = (int)key.Start.Line });
                }
                return map;

            case AnchorAlias alias:
                parser.MoveNext();
                errors.Add(new(path, "*" + alias.Value, "Aliases are not supported.", "Write the value out here.") {
                    Source = name,
                    Line = (int)alias.Start.Line,
                });
                return new ConfigScalar(null, At(alias)) { Unusable = true };

            default: throw new YamlException(parser.Current!.Start, parser.Current.End, "a value is missing");
        }

        ConfigOrigin At(ParsingEvent parsed) => new(name, (int)parsed.Start.Line);
    }

    private static void NoAnchor(NodeEvent node, string name, string path, List<ConfigurationError> errors)
    {
        if (node.Anchor.IsEmpty) return;
        errors.Add(new(path, "&" + node.Anchor.Value, "Anchors are not supported.",
            "Remove the anchor and write the value out where it is needed.") { Source = name, Line = (int)node.Start.Line });
    }

    private static ConfigNode? ParseJson(string name, string text, List<ConfigurationError> errors)
    {
        try
        {
            var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(text),
                new JsonReaderOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, MaxDepth = MaxDepth });
            var lines = new LineCounter(Encoding.UTF8.GetBytes(text));
            reader.Read();
            var node = ReadJson(ref reader, lines, name, "", lines.At(reader.TokenStartIndex), errors);
            // The reader reports anything after the value as an error.
            reader.Read();
            return node;
        }
        catch (JsonException error)
        {
            errors.Add(new("(file)", null, "The file is not valid JSON.",
                "Check commas, quotes and brackets at this line.") { Source = name, Line = (int?)error.LineNumber + 1 });
            return null;
        }
        catch (InvalidOperationException)
        {
            errors.Add(new("(file)", null, "A string in the file contains half of a surrogate pair (an escape such as \\ud800).",
                "Correct the escape, or write the character itself.") { Source = name });
            return null;
        }
    }

    private static ConfigNode ReadJson(ref Utf8JsonReader reader, LineCounter lines, string name, string path, int line,
        List<ConfigurationError> errors)
    {
        var origin = new ConfigOrigin(name, line);
        switch (reader.TokenType)
        {
            case JsonTokenType.StartObject:
                var map = new ConfigMap(origin);
                while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
                {
                    var key = reader.GetString()!;
                    var keyLine = lines.At(reader.TokenStartIndex);
                    var memberPath = path.Length == 0 ? key : $"{path}.{key}";
                    reader.Read();
                    if (!map.TryAdd(key, ReadJson(ref reader, lines, name, memberPath, keyLine, errors)))
                    {
                        errors.Add(Twice(memberPath) with { Source = name, Line = keyLine });
                    }
                }
                return map;
            case JsonTokenType.StartArray:
                var items = new List<ConfigNode>();
                while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
                    items.Add(ReadJson(ref reader, lines, name, $"{path}[{items.Count}]", lines.At(reader.TokenStartIndex), errors));
                return new ConfigList(items, origin);
            case JsonTokenType.Null: return new ConfigScalar(null, origin);
            case JsonTokenType.String: return new ConfigScalar(reader.GetString(), origin);
            default: return new ConfigScalar(Encoding.UTF8.GetString(reader.ValueSpan), origin);
        }
    }

    /// <summary>Line numbers of ascending positions.</summary>
    private sealed class LineCounter(byte[] text)
    {
        private int _position;
        private int _line = 1;

        public int At(long position)
        {
            for (; _position < position && _position < text.Length; _position++)
            {
                if (text[_position] == '\n') _line++;
            }
            return _line;
        }
    }

    private static ConfigurationError Twice(string key) => new(key, null, "The key occurs twice here.", "Keep one of the two.");

    // The parser's messages quote no values. Only its position in brackets is removed, because the error states the position itself.
    private static string Sentence(string message)
    {
        var text = message.TrimEnd('.');
        var bracket = text.StartsWith('(') ? text.IndexOf("): ", StringComparison.Ordinal) : -1;
        return (bracket >= 0 ? text[(bracket + 3)..] : text) + ".";
    }
}
