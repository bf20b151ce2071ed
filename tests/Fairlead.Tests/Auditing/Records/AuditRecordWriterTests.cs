using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Auditing;
using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;
using Fairlead.Pipeline;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Auditing.Records;

public class AuditRecordWriterTests
{
    [Theory]
    [InlineData(0, "2026-11-20T10:00:00Z")]
    [InlineData(1_230_000, "2026-11-20T10:00:00.123Z")]
    [InlineData(1, "2026-11-20T10:00:00.0000001Z")]
    public void WriteEnded_Time_HasNoTrailingZeros(long ticks, string written)
    {
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 11, 20, 10, 0, 0, TimeSpan.Zero).AddTicks(ticks));
        Assert.Equal(written, (string?)Ended(RecordedCalls.New(time))["at"]);
    }

    [Fact]
    public void WriteEnded_CompleteCall_ContainsLedgerFields()
    {
        var call = RecordedCalls.New();
        call.Try().UpstreamStatus = 200;
        var record = Ended(call.End());
        Assert.Equal(AuditRecordWriter.RecordIdOf(call.GenerationId), (string?)record["id"]);
        Assert.Equal("192.0.2.7", (string?)record["address"]);
        Assert.Equal(0.5, (double)record["parameters"]!["temperature"]!);
        Assert.Equal(2, (int)record["parameters"]!["messages"]!);
        var attempt = Assert.Single(record["attempts"]!.AsArray())!;
        Assert.Equal(200, (int)attempt["upstream_status"]!);
        Assert.Equal(0.00028m, (decimal)attempt["cost_usd"]!);
        Assert.Equal(0.00028m, (decimal)record["cost_usd"]!);
        Assert.Equal(100, (long)record["usage"]!["input_tokens"]!);
        Assert.Equal("complete", (string?)record["outcome"]);
        Assert.True(record["attempts"]![0]!.AsObject().ContainsKey("error_code"));
        Assert.Null(record["error_code"]);
        Assert.Equal(200, (int)record["status"]!);
    }

    [Fact]
    public void WriteStarted_SecondAttempt_ListsFirstAndRunning()
    {
        var call = RecordedCalls.New();
        var first = call.Try();
        first.Outcome = "failed";
        var second = call.Try();
        var buffer = RecordBuffer.Rent();
        AuditRecordWriter.WriteStarted(buffer.Output, call, second);
        var record = JsonNode.Parse(buffer.Finish().ToArray())!;
        Assert.Equal(first.Id, (string?)Assert.Single(record["attempts"]!.AsArray())!["id"]);
        Assert.Equal(second.Id, (string?)record["running"]!["id"]);
        Assert.Equal(100, (long)record["running"]!["usage"]!["input_tokens"]!);
    }

    [Fact]
    public void WriteEnded_AnyClientText_IsValidJsonForLedger() =>
        Gen.Select(Gen.String, Gen.String, Gen.Int[0, 3]).Sample((model, path, attempts) =>
        {
            var call = RecordedCalls.New(model: model);
            call.Endpoint = path;
            for (var i = 0; i < attempts; i++) call.Try();
            call.End();
            var bytes = Bytes(call);
            var record = JsonNode.Parse(bytes)!;
            var expected = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(model));
            if (model.Length <= 256) Assert.Equal(expected, (string?)record["model_requested"]);
            Assert.Equal(attempts, record["attempts"]!.AsArray().Count);
            Assert.Equal(attempts, ShippedCall.Read(bytes, 1)!.Attempts.Count);
        }, iter: 500);

    private static JsonNode Ended(GatewayCall call) => JsonNode.Parse(Bytes(call.Ending is null ? call.End() : call))!;

    private static byte[] Bytes(GatewayCall call)
    {
        var buffer = RecordBuffer.Rent();
        AuditRecordWriter.WriteEnded(buffer.Output, call, 200);
        return buffer.Finish().ToArray();
    }
}
