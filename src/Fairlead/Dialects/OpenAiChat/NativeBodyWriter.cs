using System.Buffers;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>
/// A provider's whole body for the client: the catalogue's model name, the <c>fairlead</c> object added, the rest
/// unchanged.
/// </summary>
internal static class NativeBodyWriter
{
    public static void Write(GatewayCall call, ReadOnlySpan<byte> body, IBufferWriter<byte> output)
    {
        body = NativeUsage.Correct(call, GatewayJsonFields.Without(body.Trim(" \t\r\n"u8)));
        var model = NativeChunk.FindModel(body);
        var position = 0;
        if (!model.IsEmpty)
        {
            output.Write(body[..model.Start]);
            output.Write(BodySplicer.Quote(call.ReportedModel));
            position = model.End;
        }
        if (!call.Caller.Extensions)
        {
            output.Write(body[position..]);
            return;
        }
        output.Write(body[position..^1]);
        var json = new JsonAppender(output);
        json.Raw(body[1..^1].Trim(" \t\r\n"u8).IsEmpty ? "\"fairlead\":"u8 : ",\"fairlead\":"u8);
        FairleadObjectWriter.AppendFinal(ref json, call);
        json.Raw("}"u8);
        json.Flush();
    }
}
