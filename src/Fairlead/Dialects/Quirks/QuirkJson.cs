using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Errors;

namespace Fairlead.Dialects.Quirks;

/// <summary>Reads and writes members whose type may be wrong.</summary>
internal static class QuirkJson
{
    private static readonly JsonDocumentOptions Parsing = new() { MaxDepth = 512 };

    /// <summary>The object; null if the text is not an object. Duplicate members throw <see cref="ArgumentException"/> on access.</summary>
    public static JsonObject? Parse(ReadOnlySpan<byte> json) => JsonNode.Parse(json, documentOptions: Parsing) as JsonObject;

    /// <summary>The JSON text as UTF-8.</summary>
    public static byte[] Bytes(JsonNode node)
    {
        var output = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions)) node.WriteTo(json);
        return output.WrittenSpan.ToArray();
    }

    /// <summary>The JSON text as a string.</summary>
    public static string Plain(JsonNode value) => Encoding.UTF8.GetString(Bytes(value));

    /// <summary>The string; null if it is another type.</summary>
    public static string? Text(JsonNode? node) =>
        node is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;

    /// <summary>A count, also from a text or a fraction; null if it is not one.</summary>
    public static long? Number(JsonNode? node)
    {
        if (node is not JsonValue value) return null;
        var text = value.GetValueKind() switch
        {
            JsonValueKind.String => value.GetValue<string>(),
            JsonValueKind.Number => value.ToJsonString(),
            _ => null,
        };
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && number is >= 0 and < 1e15
            ? (long)number
            : null;
    }

    public static bool Is(JsonNode? node, int number) =>
        node is JsonValue value && value.GetValueKind() == JsonValueKind.Number && value.TryGetValue<int>(out var given) && given == number;

    /// <summary>Sets a member to a number. False if it already has that value.</summary>
    public static bool Put(JsonObject node, string name, int number)
    {
        if (Is(node[name], number)) return false;
        node[name] = number;
        return true;
    }

    /// <summary>Sets a member to a text. False if it already has that value.</summary>
    public static bool Put(JsonObject node, string name, string text)
    {
        if (Text(node[name]) == text) return false;
        node[name] = text;
        return true;
    }

    /// <summary>The text of a member that should be a string: for an object its own text or its JSON, for null nothing.</summary>
    public static string AsText(JsonNode? node) => node switch
    {
        null => "",
        JsonObject part when Text(part["text"]) is { } text => text,
        JsonObject part when Text(part["value"]) is { } text => text,
        JsonArray parts => string.Concat(parts.Select(AsText)),
        _ => Text(node) ?? Plain(node),
    };

    /// <summary>The arguments of a call as the text of an object.</summary>
    public static string AsArguments(JsonNode? node) => node switch
    {
        null => "",
        _ => Text(node) ?? Plain(node),
    };
}
