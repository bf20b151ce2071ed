using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Replaces the provider's usage where it is not trusted, so that clients read what they are charged for.</summary>
internal static class NativeUsage
{
    /// <summary>Whether the provider's usage is what is charged; only then it is forwarded.</summary>
    public static bool IsTrusted(GatewayCall call) => call.Ending is not { Usage.Basis: Basis.Estimated };

    /// <summary>
    /// The same body or chunk of OpenAI's, with <c>usage</c> replaced where it is not trusted. One without usage gets none.
    /// </summary>
    public static ReadOnlySpan<byte> Correct(GatewayCall call, ReadOnlySpan<byte> json)
    {
        if (IsTrusted(call)) return json;
        var value = new ArrayBufferWriter<byte>(256);
        var appender = new JsonAppender(value);
        OpenAiJson.AppendUsage(ref appender, call.Ending!.Usage);
        appender.Flush();
        return Replace(json, value.WrittenSpan, inserts: false);
    }

    /// <summary>The object with another value of <c>usage</c>.</summary>
    /// <param name="json">One JSON object with at least one member.</param>
    /// <param name="value">The value.</param>
    /// <param name="inserts">Whether it is appended when the object has none.</param>
    public static ReadOnlySpan<byte> Replace(ReadOnlySpan<byte> json, ReadOnlySpan<byte> value, bool inserts)
    {
        var usage = Find(json);
        if (usage.IsEmpty && !inserts) return json;
        var buffer = new ArrayBufferWriter<byte>(json.Length + value.Length + 16);
        if (usage.IsEmpty)
        {
            var end = json.LastIndexOf((byte)'}');
            buffer.Write(json[..end]);
            buffer.Write(",\"usage\":"u8);
            buffer.Write(value);
            buffer.Write(json[end..]);
        }
        else
        {
            buffer.Write(json[..usage.Start]);
            buffer.Write(value);
            buffer.Write(json[usage.End..]);
        }
        return buffer.WrittenSpan;
    }

    private static ByteRange Find(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 512 });
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var wanted = reader.ValueTextEquals("usage"u8);
            reader.Read();
            var start = (int)reader.TokenStartIndex;
            reader.Skip();
            if (wanted) return new ByteRange(start, (int)reader.BytesConsumed - start);
        }
        return default;
    }
}
