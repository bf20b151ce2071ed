using System.Buffers;
using Fairlead.Conversation;

namespace Fairlead.Dialects.OpenAiEmbeddings;

/// <summary>Writes embeddings in OpenAI's form, before the name of the model and the gateway's own members are known.</summary>
internal static class EmbeddingsJson
{
    /// <summary>A translated response.</summary>
    /// <param name="response">The vectors.</param>
    /// <param name="base64">The form of a vector.</param>
    /// <param name="tokens">Input tokens.</param>
    public static byte[] Write(EmbeddingsResponse response, bool base64, long tokens)
    {
        var output = new ArrayBufferWriter<byte>(1024);
        var json = new JsonAppender(output);
        json.Raw("{\"object\":\"list\",\"data\":["u8);
        for (var i = 0; i < response.Vectors.Count; i++)
        {
            json.Raw(i == 0 ? "{\"object\":\"embedding\",\"index\":"u8 : ",{\"object\":\"embedding\",\"index\":"u8);
            json.Number((long)i);
            json.Raw(",\"embedding\":"u8);
            var vector = response.Vectors[i].Span;
            json.Raw(base64 ? EmbeddingVectors.ToBase64(vector) : EmbeddingVectors.ToList(vector));
            json.Raw("}"u8);
        }
        json.Raw("],\"model\":\"\",\"usage\":"u8);
        json.Flush();
        WriteUsage(output, tokens);
        output.Write("}"u8);
        return output.WrittenSpan.ToArray();
    }

    /// <summary>The object of the usage.</summary>
    public static void WriteUsage(IBufferWriter<byte> output, long tokens)
    {
        var json = new JsonAppender(output);
        json.Raw("{\"prompt_tokens\":"u8);
        json.Number(tokens);
        json.Raw(",\"total_tokens\":"u8);
        json.Number(tokens);
        json.Raw("}"u8);
        json.Flush();
    }
}
