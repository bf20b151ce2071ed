using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Configuration;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Tests.Dialects;

public sealed class SharedPiecesTests
{
    [Fact]
    public void JsonAppender_AnyString_RoundTrips() =>
        Gen.OneOf(Gen.String, Gen.String[Gen.Char["a\"\\\n\t\u0001é日\u2028/"], 0, 3000]).Sample(text =>
        {
            var output = new ArrayBufferWriter<byte>();
            var json = new JsonAppender(output);
            json.String(text);
            json.Flush();
            // Half a pair cannot be said in UTF-8.
            var expected = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));
            Assert.Equal(expected, JsonNode.Parse(output.WrittenSpan)!.GetValue<string>());
            Assert.False(output.WrittenSpan.Contains((byte)'\n'));
        });

    [Fact]
    public void JsonAppender_SurrogatePairAcrossBuffers_StaysIntact()
    {
        var text = string.Concat(Enumerable.Repeat("a😀", 5000));
        var output = new ArrayBufferWriter<byte>();
        var json = new JsonAppender(output);
        json.Raw("["u8);
        json.String(text);
        json.Raw("]"u8);
        json.Flush();
        Assert.Equal(text, JsonNode.Parse(output.WrittenSpan)![0]!.GetValue<string>());
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(-1, "0")]
    [InlineData(1.5, "1.500")]
    [InlineData(12.0004, "12")]
    [InlineData(0.0015, "0.002")]
    [InlineData(99999.999, "99999.999")]
    public void JsonAppender_Milliseconds_HaveMicrosecondPrecision(double value, string expected)
    {
        var output = new ArrayBufferWriter<byte>();
        var json = new JsonAppender(output);
        json.Milliseconds(value);
        json.Flush();
        Assert.Equal(expected, Encoding.UTF8.GetString(output.WrittenSpan));
    }

    [Fact]
    public void JsonEscapes_AnyString_ReturnsLengthOfDecodedText() =>
        Gen.String[Gen.Char["a\"\\\n\u0001é日"], 0, 40].Sample(text =>
        {
            // The default encoder writes everything beyond ASCII as \u escapes.
            var literal = JsonSerializer.SerializeToUtf8Bytes(text + "😀", JsonSerializerOptions.Default);
            var inside = literal.AsSpan(1, literal.Length - 2);
            Assert.Equal(Encoding.UTF8.GetByteCount(text + "😀"), JsonEscapes.DecodedLength(inside));
            Assert.Equal(-1, JsonEscapes.FindLoneSurrogate(inside));
        });

    [Theory]
    [InlineData("\\ud83d\\ude00", -1)]
    [InlineData("a\\ud83d", 1)]
    [InlineData("\\ude00", 0)]
    [InlineData("\\ud83d\\ud83d\\ude00", 0)]
    [InlineData("\\\\ud83d", -1)]
    [InlineData("\\uD83Dx", 0)]
    public void JsonEscapes_LoneSurrogate_IsFound(string text, int expected) => Assert.Equal(expected, JsonEscapes.FindLoneSurrogate(Encoding.ASCII.GetBytes(text)));

    [Fact]
    public void BodySplicer_OverlappingEdits_AreRefused()
    {
        var edits = new[] { new BodyEdit(new ByteRange(1, 3), default), new BodyEdit(new ByteRange(2, 1), default) };
        Assert.Throws<ArgumentException>(() => BodySplicer.Write("0123456789"u8, edits, new ArrayBufferWriter<byte>()));
    }

    [Fact]
    public void BodySplicer_UnsortedEdits_AreAppliedAtTheirOffsets()
    {
        var output = new ArrayBufferWriter<byte>();
        BodySplicer.Write("0123456789"u8, [new BodyEdit(new ByteRange(8, 1), "X"u8.ToArray()), new BodyEdit(new ByteRange(0, 2), default), new BodyEdit(new ByteRange(5, 0), "--"u8.ToArray())], output);
        Assert.Equal("234--567X9", Encoding.ASCII.GetString(output.WrittenSpan));
    }

    [Fact]
    public void FairleadObject_CompleteCall_HasEveryField()
    {
        var dialect = OpenAiChatDialect.Create();
        var call = DialectCalls.Answered(dialect, """{"model":"alias","messages":[{"role":"user","content":"x"}],"temperature":0.5,"max_tokens":9,"n":2,"seed":3,"reasoning_effort":"low","top_p":0.9}""");
        call.Warn("parameter_ignored", "A \"quoted\" reason.");
        call.Quality.Set("groundedness", 0.75);
        call.Timings.Record("retrieval", TimeSpan.FromMilliseconds(3));
        call.Answering!.Meter.Finish(Fairlead.Conversation.FinishReason.Stop, 0);
        call.Answering.Meter.AddLogprob(-0.5);
        call.End();
        var start = new ArrayBufferWriter<byte>();
        FairleadObjectWriter.WriteStart(call, start);
        var final = new ArrayBufferWriter<byte>();
        FairleadObjectWriter.WriteFinal(call, final);
        const string Beginning = """{"generation_id":"gen_01KAR1X2Y3Z4A5B6C7D8E9F0GH","model_requested":"alias","model":"fast","provider":"openai","deployment":"openai/gpt-x","api_version":"2026-11-23","prompt":null,"parameters":{"temperature":0.5,"top_p":0.9,"max_output_tokens":9,"seed":3,"reasoning_effort":"low","n":2}""";
        Assert.Equal(Beginning + "}", Encoding.UTF8.GetString(start.WrittenSpan));
        Assert.Equal(
            Beginning
                + ""","outcome":"complete","usage":{"input_tokens":11,"cached_input_tokens":4,"cache_write_tokens":0,"output_tokens":7,"reasoning_tokens":2,"basis":"measured"},"cost":{"usd":0.000123,"basis":"measured"}"""
                + ""","timing_ms":{"auth":0,"validate":0,"policy":0,"limit":0,"queue":0,"coalesce":0,"connect":0,"first_token":0,"generate":0,"total":0,"retrieval":3}"""
                + ""","quality":{"finish_reason":"stop","schema_valid":null,"mean_logprob":-0.5,"policy":null,"groundedness":0.75},"limits":[],"warnings":[{"code":"parameter_ignored","message":"A \"quoted\" reason."}]"""
                + ""","attempts":[{"deployment":"openai/gpt-x","provider":"openai","model":"gpt-x","outcome":"complete","error_code":null,"duration_ms":12.500,"usage":{"input_tokens":11,"cached_input_tokens":4,"cache_write_tokens":0,"output_tokens":7,"reasoning_tokens":2,"basis":"measured"},"cost_usd":0.000123}],"coalesced":false,"cached":false}""",
            Encoding.UTF8.GetString(final.WrittenSpan));
    }

    // Time is measured in the benchmarks (about 2 µs on the day this was written); what does not depend on the machine is pinned here.
    [Fact]
    public void FairleadObject_Final_AllocatesAlmostNothing()
    {
        var dialect = OpenAiChatDialect.Create();
        var call = DialectCalls.Answered(dialect, """{"model":"fast","messages":[{"role":"user","content":"x"}],"temperature":0.5}""");
        call.End();
        var output = new ArrayBufferWriter<byte>(8192);
        Assert.InRange(AllocatedBy(() =>
        {
            output.ResetWrittenCount();
            FairleadObjectWriter.WriteFinal(call, output);
        }), 0, 128);
    }

    [Fact]
    public void ChatRequest_Read_AllocatesNoStrings()
    {
        var dialect = OpenAiChatDialect.Create();
        var text = new string('x', 20_000);
        var call = DialectCalls.Of(dialect, $$"""{"model":"fast","messages":[{"role":"system","content":"{{text}}"},{"role":"user","content":"{{text}}"}],"temperature":0.5}""");
        var bounds = new RequestBounds();
        Assert.InRange(AllocatedBy(() =>
        {
            call.Facts = new RequestFacts();
            Assert.Null(dialect.Requests.Read(call, bounds));
        }), 0, 1024);
    }

    private static long AllocatedBy(Action action)
    {
        for (var i = 0; i < 10; i++) action();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++) action();
        return (GC.GetAllocatedBytesForCurrentThread() - before) / 100;
    }
}
