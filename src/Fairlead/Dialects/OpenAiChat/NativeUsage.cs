using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Puts the gateway's numbers where a provider's usage is not believed, so that clients read what they are charged for.</summary>
internal static class NativeUsage
{
    /// <summary>Whether what the provider reported is what is charged; only then does it pass through.</summary>
    public static bool Stands(GatewayCall call) => call.Ending is not { Usage.Basis: Basis.Estimated };

    /// <summary>The same body or chunk of OpenAI's, with its <c>usage</c> replaced where that does not stand. One without it gets none.</summary>
    public static ReadOnlySpan<byte> Correct(GatewayCall call, ReadOnlySpan<byte> json)
    {
        if (Stands(call)) return json;
        var value = new ArrayBufferWriter<byte>(256);
        var appender = new JsonAppender(value);
        OpenAiJson.AppendUsage(ref appender, call.Ending!.Usage);
        appender.Flush();
        return Replace(json, value.WrittenSpan, inserts: false);
    }

    /// <summary>The object with another value of <c>usage</c>.</summary>
    /// <param name="json">One JSON object with at least one member.</param>
    /// <param name="value">The value.</param>
    /// <param name="inserts">Whether it is put at the end where the object has none.</param>
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
