using System.Buffers;
using System.Text.Json;

namespace Fairlead.Dialects;

/// <summary>
/// The members that the gateway adds to bodies and events. If the upstream is another gateway, it sends them too: they describe its
/// call, and clients read a duplicate member differently. So they are removed before ours are added.
/// </summary>
internal static class GatewayJsonFields
{
    /// <summary>The JSON object without them: the same bytes if it has none, otherwise a copy.</summary>
    /// <param name="json">One whole object, already validated.</param>
    public static ReadOnlySpan<byte> Without(ReadOnlySpan<byte> json)
    {
        // Two fast searches instead of parsing: nearly no upstream has them. Inside a string the quotes would be escaped.
        if (json.IndexOf("\"fairlead\""u8) < 0 && json.IndexOf("\"sequence_number\""u8) < 0) return json;
        var output = new ArrayBufferWriter<byte>(json.Length);
        output.Write("{"u8);
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 1024 });
        reader.Read();
        var first = true;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var start = (int)reader.TokenStartIndex;
            var own = reader.ValueSpan.SequenceEqual("fairlead"u8) || reader.ValueSpan.SequenceEqual("sequence_number"u8);
            reader.Read();
            reader.Skip();
            if (own) continue;
            if (!first) output.Write(","u8);
            output.Write(json[start..(int)reader.BytesConsumed]);
            first = false;
        }
        output.Write("}"u8);
        return output.WrittenSpan;
    }
}
