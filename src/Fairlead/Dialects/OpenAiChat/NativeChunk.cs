using System.Text.Json;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Finds members of a body or chunk at its top level. The text is one valid JSON object.</summary>
internal static class NativeChunk
{
    /// <summary>Where the value of <c>model</c> stands; empty when it has none that is a string.</summary>
    public static ByteRange FindModel(ReadOnlySpan<byte> json) => Find(json, "model"u8, JsonTokenType.String);

    /// <summary>Where the value of a member of the given type stands; empty when there is none.</summary>
    public static ByteRange Find(ReadOnlySpan<byte> json, ReadOnlySpan<byte> name, JsonTokenType type)
    {
        var reader = new Utf8JsonReader(json);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            // Nobody escapes these names, and an escape may be one that cannot be decoded.
            var wanted = !reader.ValueIsEscaped && reader.ValueSpan.SequenceEqual(name);
            reader.Read();
            var start = (int)reader.TokenStartIndex;
            var found = wanted && reader.TokenType == type;
            reader.Skip();
            if (found) return new ByteRange(start, (int)reader.BytesConsumed - start);
        }
        return default;
    }

    /// <summary>The string value of a member, or null.</summary>
    public static string? Text(ReadOnlySpan<byte> json, ReadOnlySpan<byte> name)
    {
        var range = Find(json, name, JsonTokenType.String);
        if (range.IsEmpty) return null;
        var reader = new Utf8JsonReader(json.Slice(range.Start, range.Length));
        reader.Read();
        try
        {
            return reader.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>The whole number of a member, or null.</summary>
    public static long? Number(ReadOnlySpan<byte> json, ReadOnlySpan<byte> name)
    {
        var range = Find(json, name, JsonTokenType.Number);
        if (range.IsEmpty) return null;
        var reader = new Utf8JsonReader(json.Slice(range.Start, range.Length));
        reader.Read();
        return reader.TryGetInt64(out var number) ? number : null;
    }
}
