using System.Buffers;
using System.Text.Json;
using Fairlead.Ledger;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Puts the gateway's numbers where a provider's usage is not believed, so that clients read what they are charged for.</summary>
internal static class NativeUsage
{
    /// <summary>Whether what the provider reported is what is charged; only then does it pass through.</summary>
    public static bool Stands(GatewayCall call) => call.Ending is not { Usage.Basis: Basis.Estimated };

    /// <summary>The same body, with its <c>usage</c> replaced where that does not stand. A body without one gets none.</summary>
    public static ReadOnlySpan<byte> Correct(GatewayCall call, ReadOnlySpan<byte> json)
    {
        if (Stands(call)) return json;
        var usage = Find(json);
        if (usage.IsEmpty) return json;
        var buffer = new ArrayBufferWriter<byte>(json.Length + 256);
        buffer.Write(json[..usage.Start]);
        var value = new JsonAppender(buffer);
        OpenAiJson.AppendUsage(ref value, call.Ending!.Usage);
        value.Flush();
        buffer.Write(json[usage.End..]);
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
