using System.Buffers;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiEmbeddings;

/// <summary>
/// OpenAI's embeddings. The form of the vectors that was asked for is the form that is answered, whatever the provider sent: clients decode what they
/// asked for, and one of them makes an empty vector of the other form without a word.
/// </summary>
internal sealed class OpenAiEmbeddingsDialect : Dialect
{
    public override string Name => "openai.embeddings";

    public override Operation Operation => Operation.Embeddings;

    public override ErrorShape ErrorShape => ErrorShape.OpenAi;

    public override string InputField => "input";

    public override string Scope => Scopes.Embeddings;

    public override GatewayError? Read(GatewayCall call, RequestBounds bounds) => EmbeddingsRequestReader.Read(call, bounds);

    public override EmbeddingsRequest ToEmbeddings(GatewayCall call) => EmbeddingsRequestReader.ToEmbeddings(call);

    public override void WriteUpstreamBody(GatewayCall call, string upstreamModel, IBufferWriter<byte> output)
    {
        var facts = call.Facts;
        Span<BodyEdit> edits = [new BodyEdit(facts.ModelRange, BodySplicer.Quote(upstreamModel)), new BodyEdit(facts.ExtensionMemberRange, default)];
        BodySplicer.Write(call.Body.WrittenSpan, facts.ExtensionMemberRange.IsEmpty ? edits[..1] : edits, output);
    }

    public override bool ScanAnswer(ReadOnlySpan<byte> body, AnswerMeter meter)
    {
        var scan = EmbeddingsAnswerScan.Of(body, base64: null);
        if (!scan.IsValid) return false;
        meter.UpstreamModel = scan.ModelName;
        if (scan.Usage is { } usage) meter.ReportUsage(usage);
        meter.AddOutput(0);
        meter.Finish(FinishReason.Stop, 0);
        return true;
    }

    public override void WriteReply(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        switch (reply)
        {
            case GatewayReply.NativeBody native: WriteNative(call, native.Body.WrittenSpan, output); break;
            case GatewayReply.Embedded embedded: WriteAnswer(call, embedded.Answer, output); break;
            default: throw new NotSupportedException($"{Name} has no form for {reply.GetType().Name}.");
        }
    }

    private static void WriteNative(GatewayCall call, ReadOnlySpan<byte> body, IBufferWriter<byte> output)
    {
        body = OpenAiChat.NativeUsage.Correct(call, OwnMembers.Without(body.Trim(" \t\r\n"u8)));
        var scan = EmbeddingsAnswerScan.Of(body, call.Facts.Base64Vectors);
        var edits = scan.Conversions ?? [];
        if (!scan.Model.IsEmpty) edits.Add(new BodyEdit(scan.Model, BodySplicer.Quote(call.Model.Id)));
        if (call.Caller.Extensions) edits.Add(new BodyEdit(new ByteRange(body.Length - 1, 0), ExtensionMember(call)));
        BodySplicer.Write(body, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(edits), output);
    }

    private static void WriteAnswer(GatewayCall call, EmbeddingsAnswer answer, IBufferWriter<byte> output)
    {
        var json = new JsonAppender(output);
        json.Raw("{\"object\":\"list\",\"data\":["u8);
        for (var i = 0; i < answer.Vectors.Count; i++)
        {
            json.Raw(i == 0 ? "{\"object\":\"embedding\",\"index\":"u8 : ",{\"object\":\"embedding\",\"index\":"u8);
            json.Number((long)i);
            json.Raw(",\"embedding\":"u8);
            var vector = answer.Vectors[i].Span;
            json.Raw(call.Facts.Base64Vectors ? EmbeddingVectors.ToBase64(vector) : EmbeddingVectors.ToList(vector));
            json.Raw("}"u8);
        }
        json.Raw("],\"model\":"u8);
        json.String(call.Model.Id);
        var tokens = call.Ending?.Usage.InputTokens ?? 0;
        json.Raw(",\"usage\":{\"prompt_tokens\":"u8);
        json.Number(tokens);
        json.Raw(",\"total_tokens\":"u8);
        json.Number(tokens);
        json.Raw("}"u8);
        if (call.Caller.Extensions)
        {
            json.Flush();
            output.Write(ExtensionMember(call));
        }
        json.Raw("}"u8);
        json.Flush();
    }

    private static byte[] ExtensionMember(GatewayCall call)
    {
        var member = new ArrayBufferWriter<byte>(1024);
        member.Write(",\"fairlead\":"u8);
        FairleadObjectWriter.WriteFinal(call, member);
        return member.WrittenSpan.ToArray();
    }
}
