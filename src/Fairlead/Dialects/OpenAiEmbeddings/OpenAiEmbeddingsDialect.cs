using System.Buffers;
using System.Collections.Frozen;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiEmbeddings;

/// <summary>
/// OpenAI's embeddings. The response has the requested vector format, whatever the provider sends. Clients decode the
/// format they requested, and one client library decodes the other format to an empty vector without an error.
/// </summary>
internal sealed class OpenAiEmbeddingsDialect : IRequestReader, IEmbeddingsDialect, IResponseWriter
{
    private OpenAiEmbeddingsDialect()
    {
    }

    public static Dialect Create()
    {
        var parts = new OpenAiEmbeddingsDialect();
        return new Dialect
        {
            Name = "openai.embeddings",
            Path = "/v1/embeddings",
            Operation = Operation.Embeddings,
            ErrorShape = ErrorShape.OpenAi,
            Scope = Scopes.Embeddings,
            InputField = "input",
            FieldsWithoutEffect = FrozenSet.Create(StringComparer.Ordinal,
                "model", "fairlead", "user"),
            Requests = parts,
            Embeddings = parts,
            Native = new EmbeddingsWire(),
            Responses = parts,
        };
    }

    public GatewayError? Read(GatewayCall call, RequestBounds bounds) => EmbeddingsRequestReader.Read(call, bounds);

    public EmbeddingsRequest ToEmbeddings(GatewayCall call) => EmbeddingsRequestReader.ToEmbeddings(call);

    public void Write(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        switch (reply)
        {
            case GatewayReply.NativeBody native: WriteNative(call, native.Body.WrittenSpan, output); break;
            case GatewayReply.Embedded embedded: WriteAnswer(call, embedded.Response, output); break;
            default: throw new InvalidOperationException($"Embeddings have no body for {reply.GetType().Name}.");
        }
    }

    private static void WriteNative(GatewayCall call, ReadOnlySpan<byte> body, IBufferWriter<byte> output)
    {
        body = OpenAiChat.NativeUsage.Correct(call, GatewayJsonFields.Without(body.Trim(" \t\r\n"u8)));
        var scan = EmbeddingsResponseScan.Of(body, call.Facts.Base64Vectors);
        var edits = scan.Conversions ?? [];
        if (!scan.Model.IsEmpty) edits.Add(new BodyEdit(scan.Model, BodySplicer.Quote(call.ReportedModel)));
        if (call.Caller.Extensions) edits.Add(new BodyEdit(new ByteRange(body.Length - 1, 0), ExtensionMember(call)));
        BodySplicer.Write(body, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(edits), output);
    }

    private static void WriteAnswer(GatewayCall call, EmbeddingsResponse answer, IBufferWriter<byte> output)
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
        json.String(call.ReportedModel);
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
