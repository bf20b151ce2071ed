using System.Buffers;
using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Auditing;
using Fairlead.Auditing.Records;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Auditing.Records;

public sealed class ShippedCallTests
{
    private static readonly DateTimeOffset Start = new(2026, 11, 23, 12, 30, 0, TimeSpan.Zero);

    /// <summary>Every record that a call leaves is read along its frame, so that the shipper's time is what was measured.</summary>
    [Theory]
    [InlineData("large", 0)]
    [InlineData("large", 1)]
    [InlineData("large", 3)]
    [InlineData("größer 模型", 2)]
    public void ReadFrame_CallRecords_MatchesFullParse(string model, int attempts)
    {
        foreach (var milliseconds in (double[])[0, 0.5, 120, 123.4567])
        {
            var time = new FakeTimeProvider(Start.AddMilliseconds(milliseconds));
            var call = RecordedCalls.New(time, model: model);
            for (var i = 0; i < attempts; i++) call.Try();
            var record = Record(call.End(output: 12_345, outcome: attempts == 0 ? Outcome.Failed : Outcome.Complete, error: attempts == 0 ? GatewayError.ModelNotFound("x") : null));

            var framed = ShippedCall.ReadFrame(record, 7);
            Assert.NotNull(framed);
            AssertSame(framed, record);
            Assert.Equal(attempts, framed.Attempts.Count);
            Assert.Equal(time.GetUtcNow().ToUnixTimeMilliseconds(), framed.At);
            Assert.True(framed.HasItsOwnRequestId);
        }
    }

    [Theory]
    [InlineData("large")]
    [InlineData("a\"b")]
    public void Read_ClassOfCall_IsRead(string model)
    {
        var call = RecordedCalls.New(model: model);
        call.Class = "bulk";
        call.Try();
        Assert.Equal("bulk", Encoding.UTF8.GetString(ShippedCall.Read(Record(call.End()), 1)!.Class.Span));
    }

    /// <summary>Records of earlier versions may have none.</summary>
    [Fact]
    public void Read_RecordWithoutClass_HasTheDefault()
    {
        var call = RecordedCalls.New();
        call.Try();
        var text = Encoding.UTF8.GetString(Record(call.End()).Span).Replace(",\"class\":\"standard\"", "", StringComparison.Ordinal);
        Assert.DoesNotContain("class", text, StringComparison.Ordinal);
        Assert.Equal("standard", Encoding.UTF8.GetString(ShippedCall.Read(Encoding.UTF8.GetBytes(text), 1)!.Class.Span));
    }

    /// <summary>Attempts that were charged something else than their provider reported.</summary>
    [Fact]
    public void ReadFrame_Differences_MatchFullParse()
    {
        var call = RecordedCalls.New();
        Estimated(call.Try());
        Estimated(call.Try());
        var (reported, cut) = (call.Attempts[0], call.Attempts[1]);
        reported.Meter.ReportUsage(new Usage(7, 3) { CachedInputTokens = 2, ReasoningTokens = 1 });
        var record = Record(Ended(call));
        var framed = ShippedCall.ReadFrame(record, 1)!;
        AssertSame(framed, record);
        // 7 at 2 dollars a million and 3 at 8.
        Assert.Equal(("retried", new ReportedTokens(7, 2, 0, 3, 1, 38_000_000)), (Text(framed.Attempts[0].Difference!.Value), framed.Attempts[0].Reported));
        Assert.Equal(("cut", null), (Text(framed.Attempts[1].Difference!.Value), framed.Attempts[1].Reported));

        cut.Meter.Finish(FinishReason.Stop, 0);
        Assert.Equal("estimated", Text(ShippedCall.ReadFrame(Record(call), 1)!.Attempts[1].Difference!.Value));
    }

    /// <summary>A measured attempt says nothing about differences: its report is what was charged.</summary>
    [Fact]
    public void Record_MeasuredAttempt_HasNoDifference()
    {
        var call = RecordedCalls.New();
        call.Try().Meter.ReportUsage(new Usage(100, 10));
        var record = Record(call.End());
        Assert.DoesNotContain("difference", Encoding.UTF8.GetString(record.Span), StringComparison.Ordinal);
        Assert.DoesNotContain("reported", Encoding.UTF8.GetString(record.Span), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("flex", true)]
    [InlineData("default", false)]
    [InlineData("standard", false)]
    public void Record_ServiceTier_IsNamedUnlessPlain(string tier, bool named)
    {
        var call = RecordedCalls.New();
        call.Try().Meter.ReportTier(tier);
        var record = Record(call.End());
        Assert.NotNull(ShippedCall.ReadFrame(record, 1));
        Assert.Equal(named ? tier : null, (string?)JsonNode.Parse(record.Span)!["attempts"]![0]!["service_tier"]);
    }

    /// <summary>A name that a client chose may hold anything; then it is parsed.</summary>
    [Theory]
    [InlineData("a\"b")]
    [InlineData("a\\b")]
    [InlineData("\",\"attempts\":[{\"id\":\"x")]
    [InlineData("a\nb")]
    public void Read_NamesWithEscapes_AreReadCorrectly(string model)
    {
        var call = RecordedCalls.New(model: model);
        call.Try();
        var record = Record(call.End());
        Assert.Null(ShippedCall.ReadFrame(record, 1));
        var read = ShippedCall.Read(record, 1)!;
        Assert.Equal(model, Encoding.UTF8.GetString(read.Model!.Value.Span));
        Assert.Single(read.Attempts);
    }

    /// <summary>Whatever the bytes, it says null or what parsing says, and never throws.</summary>
    [Fact]
    public void ReadFrame_CorruptRecords_NeverDiffersFromFullParse()
    {
        var call = RecordedCalls.New();
        Estimated(call.Try()).Meter.ReportUsage(new Usage(5, 6));
        Estimated(call.Try());
        var whole = Record(Ended(call));
        Gen.Select(Gen.Int[0, whole.Length - 1], Gen.Byte[0, 127], Gen.Int[0, whole.Length]).Sample((at, value, length) =>
        {
            var spoilt = whole.ToArray();
            spoilt[at] = value;
            ReadOnlyMemory<byte> record = spoilt.AsMemory(0, length);
            if (ShippedCall.ReadFrame(record, 1) is { } framed && IsJson(record)) AssertSame(framed, record);
        });
    }

    [Fact]
    public void Money_WithoutTrailingZeros_IsSameAmount()
    {
        Gen.Decimal[0m, 1_000_000m].Sample(amount =>
        {
            var output = new ArrayBufferWriter<byte>();
            var json = new Fairlead.Dialects.JsonAppender(output);
            json.Money(amount);
            json.Flush();
            var text = Encoding.UTF8.GetString(output.WrittenSpan);
            Assert.Equal(amount, Money.Parse(output.WrittenSpan));
            if (text.Contains('.')) Assert.False(text.EndsWith('0') || text.EndsWith('.'));
        });
        foreach (var (amount, expected) in ((decimal, string)[])[(0m, "0"), (0.00m, "0"), (10m, "10"), (100.500m, "100.5"), (0.000000000001m, "0.000000000001")])
        {
            var output = new ArrayBufferWriter<byte>();
            var json = new Fairlead.Dialects.JsonAppender(output);
            json.Money(amount);
            json.Flush();
            Assert.Equal(expected, Encoding.UTF8.GetString(output.WrittenSpan));
        }
    }

    /// <summary>The process was killed: what the provider had reported by the last checkpoint is known.</summary>
    [Fact]
    public void LostCall_ReportBeforeKill_IsCutWithReport()
    {
        var call = RecordedCalls.New();
        var attempt = call.Try();
        var (started, progressed) = (new ArrayBufferWriter<byte>(), new ArrayBufferWriter<byte>());
        AuditRecordWriter.WriteStarted(started, call, attempt);
        attempt.Meter.ReportUsage(new Usage(40, 1));
        attempt.Meter.AddOutput(400);
        AuditRecordWriter.WriteProgress(progressed, call, attempt);

        var lost = ShippedCall.Read(LostCallRecord.Of(started.WrittenSpan.ToArray(), progressed.WrittenSpan.ToArray())!, 1)!;
        var charged = Assert.Single(lost.Attempts);
        Assert.Equal("cut", Text(charged.Difference!.Value));
        // 40 at 2 dollars a million and 1 at 8.
        Assert.Equal(new ReportedTokens(40, 0, 0, 1, 0, 88_000_000), charged.Reported);
        Assert.True(charged.OutputTokens > 1);
        Assert.Null(ShippedCall.Read(LostCallRecord.Of(started.WrittenSpan.ToArray(), null)!, 1)!.Attempts[0].Reported);
    }

    private static bool IsJson(ReadOnlyMemory<byte> record)
    {
        try
        {
            return JsonNode.Parse(record.Span) is JsonObject;
        }
        catch (System.Text.Json.JsonException)
        {
            return false;
        }
    }

    private static ReadOnlyMemory<byte> Record(GatewayCall call)
    {
        var output = new ArrayBufferWriter<byte>();
        AuditRecordWriter.WriteEnded(output, call, 200);
        return output.WrittenMemory;
    }

    private static void AssertSame(ShippedCall framed, ReadOnlyMemory<byte> record)
    {
        var json = JsonNode.Parse(record.Span)!;
        Assert.Equal((string?)json["id"], Text(framed.Id));
        Assert.Equal((string?)json["request_id"], Text(framed.RequestId));
        Assert.Equal((string?)json["generation_id"], Text(framed.GenerationId));
        Assert.Equal((string?)json["organization_id"], Text(framed.OrganizationId));
        Assert.Equal((string?)json["project_id"], Text(framed.ProjectId));
        Assert.Equal((string?)json["key_id"], Text(framed.KeyId));
        Assert.Equal((string?)json["model"], framed.Model is { } model ? Text(model) : null);
        Assert.Equal((string?)json["outcome"], Text(framed.Outcome));
        Assert.Equal(json["attempts"]!.AsArray().Count, framed.Attempts.Count);
        foreach (var (expected, attempt) in json["attempts"]!.AsArray().Zip(framed.Attempts))
        {
            Assert.Equal((string?)expected!["id"], Text(attempt.Id));
            Assert.Equal((long)expected["number"]!, attempt.Number);
            Assert.Equal((string?)expected["deployment"], Text(attempt.Deployment));
            Assert.Equal((string?)expected["provider"], Text(attempt.Provider));
            Assert.Equal((string?)expected["model"], Text(attempt.UpstreamModel));
            Assert.Equal((string?)expected["outcome"], attempt.Outcome is { } outcome ? Text(outcome) : null);
            var usage = expected["usage"]!;
            Assert.Equal((long)usage["input_tokens"]!, attempt.InputTokens);
            Assert.Equal((long)usage["cached_input_tokens"]!, attempt.CachedInputTokens);
            Assert.Equal((long)usage["cache_write_tokens"]!, attempt.CacheWriteTokens);
            Assert.Equal((long)usage["output_tokens"]!, attempt.OutputTokens);
            Assert.Equal((long)usage["reasoning_tokens"]!, attempt.ReasoningTokens);
            Assert.Equal((string?)usage["basis"], Text(attempt.Basis));
            Assert.Equal(Money.ToPico((decimal)expected["cost_usd"]!), attempt.CostPicoUsd);
            Assert.Equal((string?)expected["difference"], attempt.Difference is { } difference ? Text(difference) : null);
            Assert.Equal((long?)expected["reported"]?["input_tokens"], attempt.Reported?.Input);
            Assert.Equal((long?)expected["reported"]?["output_tokens"], attempt.Reported?.Output);
            if (attempt.Reported is { } reported) Assert.Equal(Money.ToPico((decimal)expected["reported_cost_usd"]!), reported.CostPicoUsd);
        }
    }

    private static Attempt Estimated(Attempt attempt)
    {
        attempt.Usage = new Usage(100, 10) { Basis = Basis.Estimated };
        attempt.Outcome = "provider_lost";
        return attempt;
    }

    private static GatewayCall Ended(GatewayCall call)
    {
        call.Ending = new CallEnding(Outcome.ProviderLost, default, default);
        return call;
    }

    private static string Text(ReadOnlyMemory<byte> bytes) => Encoding.UTF8.GetString(bytes.Span);
}
