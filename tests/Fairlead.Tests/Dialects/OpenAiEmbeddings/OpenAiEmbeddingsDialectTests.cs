using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiEmbeddings;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Tests.Dialects.OpenAiEmbeddings;

public class OpenAiEmbeddingsDialectTests
{
    private static readonly Dialect Dialect = OpenAiEmbeddingsDialect.Create();

    [Theory]
    [InlineData("""{"model":"m","input":"a"}""", 1, 1, 0)]
    [InlineData("""{"model":"m","input":["a","bc"]}""", 2, 3, 0)]
    [InlineData("""{"model":"m","input":[1,2,3]}""", 1, 0, 3)]
    [InlineData("""{"model":"m","input":[[1,2],[3]]}""", 2, 0, 3)]
    [InlineData("""{"input":"a","model":"m","dimensions":null,"user":null,"encoding_format":null,"fairlead":null,"later":{"x":[1]}}""", 1, 1, 0)]
    public void Read_EveryInputFormat_IsCounted(string body, int inputs, int bytes, int tokens)
    {
        var call = Read(body);
        Assert.Equal((inputs, bytes, tokens), (call.Facts.MessageCount, call.Facts.TextBytes, call.Facts.InputTokenIds));
        Assert.Equal(inputs, Dialect.Embeddings!.ToEmbeddings(call).Inputs.Count);
    }

    [Theory]
    [InlineData("""{"input":"a"}""", "model")]
    [InlineData("""{"model":"","input":"a"}""", "model")]
    [InlineData("""{"model":"m"}""", "input")]
    [InlineData("""{"model":"m","input":null}""", "input")]
    [InlineData("""{"model":"m","input":""}""", "input")]
    [InlineData("""{"model":"m","input":[]}""", "input")]
    [InlineData("""{"model":"m","input":["a",""]}""", "input[1]")]
    [InlineData("""{"model":"m","input":["a",1]}""", "input[1]")]
    [InlineData("""{"model":"m","input":[1,"a"]}""", "input[1]")]
    [InlineData("""{"model":"m","input":[1,-2]}""", "input[1]")]
    [InlineData("""{"model":"m","input":[1.5]}""", "input[0]")]
    [InlineData("""{"model":"m","input":[[1],[]]}""", "input[1]")]
    [InlineData("""{"model":"m","input":[["a"]]}""", "input[0]")]
    [InlineData("""{"model":"m","input":[null]}""", "input[0]")]
    [InlineData("""{"model":"m","input":{"a":1}}""", "input")]
    [InlineData("""{"model":"m","input":"a","encoding_format":"hex"}""", "encoding_format")]
    [InlineData("""{"model":"m","input":"a","dimensions":0}""", "dimensions")]
    [InlineData("""{"model":"m","input":"a","dimensions":1.5}""", "dimensions")]
    [InlineData("""{"model":"m","input":"a","user":5}""", "user")]
    [InlineData("""{"model":"m","input":"a","input":"b"}""", "input")]
    public void Read_InvalidRequest_ReturnsErrorNamingField(string body, string parameter)
    {
        var call = DialectCalls.Of(Dialect, body);
        var error = Dialect.Requests.Read(call, new RequestBounds());
        Assert.NotNull(error);
        Assert.Equal(parameter, error.Parameter);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("""{"model":"m","input":"a"} x""")]
    public void Read_NotAJsonObject_ReturnsMalformedJson(string body) =>
        Assert.Equal(ErrorCode.MalformedJson, Dialect.Requests.Read(DialectCalls.Of(Dialect, body), new RequestBounds())?.Code);

    [Fact]
    public void Read_TooManyInputs_IsRefused()
    {
        var texts = string.Join(',', Enumerable.Repeat("\"a\"", 2049));
        Assert.Equal("input", Dialect.Requests.Read(DialectCalls.Of(Dialect, $$"""{"model":"m","input":[{{texts}}]}"""), new RequestBounds())?.Parameter);
        var tokens = string.Join(',', Enumerable.Repeat("1", 8193));
        Assert.Equal("input", Dialect.Requests.Read(DialectCalls.Of(Dialect, $$"""{"model":"m","input":[{{tokens}}]}"""), new RequestBounds())?.Parameter);
        var lists = string.Join(',', Enumerable.Repeat("[" + string.Join(',', Enumerable.Repeat("1", 8000)) + "]", 38));
        Assert.Equal("input", Dialect.Requests.Read(DialectCalls.Of(Dialect, $$"""{"model":"m","input":[{{lists}}]}"""), new RequestBounds())?.Parameter);
    }

    [Fact]
    public void WriteBody_Request_ChangesOnlyModelAndExtension()
    {
        var call = Read("""{"fairlead":{"class":"bulk"}, "model":"fast", "input":["a"], "own":{"x":1}}""");
        Assert.Equal("bulk", call.Facts.Extension.Class);
        Assert.Equal("""{ "model":"up\"stream", "input":["a"], "own":{"x":1}}""", DialectCalls.Upstream(Dialect, call, "up\"stream"));
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void WriteReply_NativeEmbeddings_UsesRequestedEncodingFormat(bool wanted64, bool sent64)
    {
        float[] vector = [0.25f, -1f, 3.0517578E-05f];
        var sent = Encoding.UTF8.GetString(sent64 ? EmbeddingVectors.ToBase64(vector) : EmbeddingVectors.ToList(vector));
        var call = DialectCalls.Answered(Dialect, $$"""{"model":"m","input":"a","encoding_format":"{{(wanted64 ? "base64" : "float")}}"}""");
        using var body = new PooledBuffer();
        body.Write(Encoding.UTF8.GetBytes($$$"""{"object":"list","own":true,"data":[{"object":"embedding","index":0,"embedding":{{{sent}}}}],"model":"up","usage":{"prompt_tokens":4,"total_tokens":4}}"""));
        Assert.True(DialectCalls.Scan(Dialect, body.WrittenSpan, call.Answering!.Meter));
        Assert.Equal(4, call.Answering.Meter.Reported!.Value.InputTokens);
        call.End();

        var reply = JsonNode.Parse(DialectCalls.Reply(Dialect, call, new GatewayReply.NativeBody(body)))!;
        var embedding = reply["data"]![0]!["embedding"]!;
        Assert.Equal(vector, wanted64 ? Decode(embedding.GetValue<string>()) : [.. embedding.AsArray().Select(n => n!.GetValue<float>())]);
        Assert.Equal("fast", reply["model"]!.GetValue<string>());
        Assert.True(reply["own"]!.GetValue<bool>());
        Assert.Equal("complete", reply["fairlead"]!["outcome"]!.GetValue<string>());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void WriteReply_Embeddings_WritesFullList(bool base64)
    {
        var call = DialectCalls.Answered(Dialect, $$"""{"model":"m","input":["a","b"],"encoding_format":"{{(base64 ? "base64" : "float")}}"}""", extensions: false);
        call.End();
        var answer = new EmbeddingsResponse([new float[] { 1, 0 }, new float[] { 0.5f, -0.5f }]);
        var reply = JsonNode.Parse(DialectCalls.Reply(Dialect, call, new GatewayReply.Embedded(answer)))!;
        Assert.Equal("list", reply["object"]!.GetValue<string>());
        Assert.Equal(1, reply["data"]![1]!["index"]!.GetValue<int>());
        var second = reply["data"]![1]!["embedding"]!;
        Assert.Equal([0.5f, -0.5f], base64 ? Decode(second.GetValue<string>()) : [.. second.AsArray().Select(n => n!.GetValue<float>())]);
        Assert.Equal(11, reply["usage"]!["total_tokens"]!.GetValue<int>());
        Assert.Null(reply["fairlead"]);
    }

    [Fact]
    public void Vectors_RoundTrip_AreBitIdentical() => Gen.Float.Where(float.IsFinite).Array[0, 50].Sample(vector =>
    {
        foreach (var form in (byte[][])[EmbeddingVectors.ToBase64(vector), EmbeddingVectors.ToList(vector)])
        {
            var reader = new System.Text.Json.Utf8JsonReader(form);
            reader.Read();
            Assert.Equal(vector, EmbeddingVectors.Read(ref reader));
        }
    });

    [Theory]
    [InlineData("{}")]
    [InlineData("[]")]
    [InlineData("""{"data":[{"index":0}]}""")]
    [InlineData("""{"data":[1]}""")]
    [InlineData("""{"data":[""")]
    public void TryScan_NoEmbeddings_ReturnsFalse(string body) => Assert.False(DialectCalls.Scan(Dialect, Encoding.UTF8.GetBytes(body), new OutputMeter()));

    private static GatewayCall Read(string body)
    {
        var call = DialectCalls.Of(Dialect, body);
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        return call;
    }

    private static float[] Decode(string base64)
    {
        var bytes = Convert.FromBase64String(base64);
        return [.. Enumerable.Range(0, bytes.Length / 4).Select(i => System.Buffers.Binary.BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan(i * 4)))];
    }
}
