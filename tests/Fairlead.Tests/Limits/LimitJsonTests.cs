using System.Buffers;
using System.Text;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Limits;
using Fairlead.Tests.Dialects;
using System.Text.Json;

namespace Fairlead.Tests.Limits;

public sealed class LimitJsonTests
{
    private static string Text(LimitState state, bool withOwner = false) => Encoding.UTF8.GetString(LimitJson.ToBytes(state, withOwner));

    [Fact]
    public void Append_EveryKindOfLimit_HasTheSameMembers()
    {
        Assert.Equal(
            """{"name":"requests_per_minute","scope":"key","model":null,"class":null,"limit":60,"used":3,"reserved":0,"remaining":57,"window_seconds":60,"resets_at":"2026-11-23T12:00:02.500Z"}""",
            Text(LimitSamples.Requests));
        Assert.Equal(
            """{"name":"usd_per_month","scope":"organization","model":null,"class":"bulk","limit":100,"used":12,"reserved":0.25,"remaining":87.75,"window_seconds":null,"resets_at":"2026-12-01T00:00:00.000Z"}""",
            Text(LimitSamples.UsdPerMonth));
        Assert.Equal(
            """{"name":"tokens_per_day","scope":"model","scope_id":"org_1","model":"fast","class":null,"limit":1000000,"used":400000,"reserved":0,"remaining":600000,"window_seconds":null,"resets_at":"2026-11-24T00:00:00.000Z"}""",
            Text(LimitSamples.TokensPerDay, withOwner: true));
        Assert.EndsWith("\"remaining\":3,\"window_seconds\":null,\"resets_at\":null}", Text(LimitSamples.Concurrent), StringComparison.Ordinal);
    }

    [Fact]
    public void Append_TimeWithinAMillisecond_IsRoundedUp() =>
        Assert.EndsWith("\"resets_at\":\"2026-11-23T12:00:00.001Z\"}", Text(LimitSamples.Requests with { ResetsAt = LimitSamples.Now.AddTicks(1) }), StringComparison.Ordinal);

    [Fact]
    public void FairleadObject_CallWithLimits_ListsThem()
    {
        var call = DialectCalls.Answered(OpenAiChatDialect.Create(), """{"model":"fast","messages":[{"role":"user","content":"hi"}]}""");
        call.End();
        Assert.Equal("[]", Limits(call).GetRawText());
        call.Limits = new FixedLimits(LimitSamples.All);
        var limits = Limits(call);
        Assert.Equal(LimitSamples.All.Length, limits.GetArrayLength());
        Assert.Equal(Text(LimitSamples.Requests), limits[0].GetRawText());
    }

    private static JsonElement Limits(Fairlead.Pipeline.GatewayCall call)
    {
        var output = new ArrayBufferWriter<byte>();
        FairleadObjectWriter.WriteFinal(call, output);
        return JsonDocument.Parse(output.WrittenMemory).RootElement.GetProperty("limits");
    }
}
