using System.Buffers;
using System.Buffers.Binary;
using System.Buffers.Text;
using System.Globalization;
using System.Text.Json;

namespace Fairlead.Dialects.OpenAiEmbeddings;

/// <summary>The two forms of a vector on the wire: a list of numbers, or base64 of its little-endian float32 bytes.</summary>
internal static class EmbeddingVectors
{
    /// <summary>As a JSON string, quotes included.</summary>
    public static byte[] ToBase64(ReadOnlySpan<float> vector)
    {
        var bytes = new byte[vector.Length * sizeof(float)];
        for (var i = 0; i < vector.Length; i++) BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i * sizeof(float)), vector[i]);
        var text = new byte[Base64.GetMaxEncodedToUtf8Length(bytes.Length) + 2];
        Base64.EncodeToUtf8(bytes, text.AsSpan(1), out _, out var written);
        text[0] = text[written + 1] = (byte)'"';
        return text.AsSpan(0, written + 2).ToArray();
    }

    /// <summary>As a JSON array; shortest digits that read back as the same float32.</summary>
    public static byte[] ToList(ReadOnlySpan<float> vector)
    {
        var output = new ArrayBufferWriter<byte>((vector.Length * 12) + 2);
        output.Write("["u8);
        for (var i = 0; i < vector.Length; i++)
        {
            if (i > 0) output.Write(","u8);
            var span = output.GetSpan(32);
            // JSON cannot represent NaN; a vector with NaN is broken, and 0 keeps its length.
            var value = float.IsFinite(vector[i]) ? vector[i] : 0;
            value.TryFormat(span, out var written, default, CultureInfo.InvariantCulture);
            output.Advance(written);
        }
        output.Write("]"u8);
        return output.WrittenSpan.ToArray();
    }

    /// <summary>
    /// Reads the value at the position of <paramref name="reader"/> and ends on its last token. Null when it is not a vector.
    /// </summary>
    public static float[]? Read(ref Utf8JsonReader reader)
    {
        if (reader.TokenType == JsonTokenType.String)
        {
            if (!reader.TryGetBytesFromBase64(out var bytes) || bytes.Length % sizeof(float) != 0) return null;
            var vector = new float[bytes.Length / sizeof(float)];
            for (var i = 0; i < vector.Length; i++) vector[i] = BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan(i * sizeof(float)));
            return vector;
        }
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            reader.Skip();
            return null;
        }
        var list = new List<float>(1536);
        var valid = true;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType == JsonTokenType.Number && reader.TryGetSingle(out var value)) list.Add(value);
            else
            {
                valid = false;
                reader.Skip();
            }
        }
        return valid ? [.. list] : null;
    }
}
