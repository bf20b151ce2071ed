using Fairlead.Delivery;
using Fairlead.Dialects;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Dialects.FairleadV2;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Tests.Dialects;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Tests.Delivery;

public sealed class DeliveryPlanTests
{
    private const string Webhook = "https://example.com/hook";

    [Theory]
    [InlineData(false, null, "Sync", 0, false)]
    [InlineData(true, null, "Stream", 0, false)]
    [InlineData(false, "respond-async", "Queued", 0, true)]
    [InlineData(false, "respond-async, wait=0", "Queued", 0, true)]
    [InlineData(false, "respond-async, wait=10", "Hybrid", 10, true)]
    [InlineData(false, "wait=10", "Sync", 0, false)]
    [InlineData(true, "respond-async", "Stream", 0, false)]
    [InlineData(true, "respond-async, wait=10", "Stream", 0, false)]
    public void Of_Chat_FollowsStreamThenPreferHeader(bool stream, string? prefer, string kind, int wait, bool isPreferred)
    {
        var (plan, error) = Decide(OpenAiChatDialect.Create(), Chat(stream), prefer);
        Assert.Null(error);
        Assert.Equal((kind, TimeSpan.FromSeconds(wait), isPreferred), (plan.Kind.ToString(), plan.Wait, plan.IsPreferred));
        Assert.Equal((null, null), (plan.StoredStreams, plan.Background));
    }

    [Theory]
    [InlineData("{}", null, "Stream", 0, false)]
    [InlineData("""{"mode":"stream"}""", "respond-async", "Stream", 0, false)]
    [InlineData("""{"mode":"sync"}""", "respond-async", "Sync", 0, false)]
    [InlineData("""{"mode":"job"}""", null, "Queued", 0, false)]
    [InlineData("""{"mode":"job"}""", "respond-async, wait=5", "Queued", 0, false)]
    [InlineData("""{"mode":"auto","wait_seconds":7}""", null, "Hybrid", 7, false)]
    [InlineData("""{"mode":"stream","on_disconnect":"continue"}""", null, "KeptStream", 0, false)]
    public void Of_V2_FollowsDeliveryField(string delivery, string? prefer, string kind, int wait, bool isPreferred)
    {
        var dialect = FairleadDialect.Create();
        var (plan, error) = Decide(dialect, $$"""{"model":"fast","input":"Hi","delivery":{{delivery}}}""", prefer);
        Assert.Null(error);
        Assert.Equal((kind, TimeSpan.FromSeconds(wait), isPreferred), (plan.Kind.ToString(), plan.Wait, plan.IsPreferred));
        Assert.Same(kind == "KeptStream" ? dialect.StoredStreams : null, plan.StoredStreams);
    }

    [Fact]
    public void Of_V2WithoutDelivery_PreferHeaderOverridesStream()
    {
        var (plan, error) = Decide(FairleadDialect.Create(), """{"model":"fast","input":"Hi"}""", "respond-async, wait=3");
        Assert.Null(error);
        Assert.Equal((DeliveryKind.Hybrid, TimeSpan.FromSeconds(3), true), (plan.Kind, plan.Wait, plan.IsPreferred));
        Assert.False(plan.Streams);
    }

    [Theory]
    [InlineData(false, false, "Sync")]
    [InlineData(true, false, "Stream")]
    [InlineData(false, true, "Queued")]
    [InlineData(true, true, "KeptStream")]
    public void Of_Responses_FollowsBackgroundAndStream(bool stream, bool background, string kind)
    {
        var dialect = ResponsesDialect.Create();
        var body = $$"""{"model":"fast","input":"Hi","stream":{{Json(stream)}},"background":{{Json(background)}}}""";
        var (plan, error) = Decide(dialect, body, null);
        Assert.Null(error);
        Assert.Equal((kind, false), (plan.Kind.ToString(), plan.IsPreferred));
        Assert.Same(kind == "Queued" ? dialect.Background : null, plan.Background);
        Assert.Same(kind == "KeptStream" ? dialect.StoredStreams : null, plan.StoredStreams);
    }

    [Fact]
    public void Of_BackgroundResponseWithPreferHeader_IgnoresHeader()
    {
        var (plan, error) = Decide(ResponsesDialect.Create(), """{"model":"fast","input":"Hi","background":true}""", "respond-async, wait=5");
        Assert.Null(error);
        Assert.Equal((DeliveryKind.Queued, false), (plan.Kind, plan.IsPreferred));
    }

    [Fact]
    public void Of_TokenCountWithPreferHeader_IsSync()
    {
        var body = """{"model":"fast","messages":[{"role":"user","content":"Hi"}]}""";
        var (plan, error) = Decide(CountTokensDialect.Create(), body, "respond-async");
        Assert.Null(error);
        Assert.Equal((DeliveryKind.Sync, false), (plan.Kind, plan.IsPreferred));
    }

    [Theory]
    [InlineData(false, null, false)]
    [InlineData(true, null, false)]
    [InlineData(true, "respond-async", false)]
    [InlineData(false, "respond-async", true)]
    [InlineData(false, "respond-async, wait=10", true)]
    public void Of_Webhook_IsRefusedUnlessCallOutlivesRequest(bool stream, string? prefer, bool isAllowed)
    {
        var (plan, error) = Decide(OpenAiChatDialect.Create(), Chat(stream, Webhook), prefer);
        Assert.Equal(isAllowed, plan.OutlivesRequest);
        if (isAllowed) Assert.Null(error);
        else Assert.Equal((ErrorCode.UnsupportedParameter, "fairlead.webhook"), (error!.Code, error.Parameter));
    }

    [Theory]
    [InlineData("Sync", false, false)]
    [InlineData("Stream", true, false)]
    [InlineData("KeptStream", true, true)]
    [InlineData("Queued", false, true)]
    [InlineData("Hybrid", false, true)]
    public void DeliveryPlan_EachKind_DeterminesStreamingAndLifetime(string kind, bool streams, bool outlives)
    {
        var plan = new DeliveryPlan(Enum.Parse<DeliveryKind>(kind));
        Assert.Equal((streams, outlives), (plan.Streams, plan.OutlivesRequest));
    }

    [Fact]
    public void Of_AnyRequest_DoesNotModifyCall()
    {
        var call = DialectCalls.Answered(FairleadDialect.Create(), """{"model":"fast","input":"Hi"}""");
        DeliveryPlan.Of(call, new HeaderDictionary { ["Prefer"] = "respond-async" });
        Assert.True(call.Streams);
    }

    private static (DeliveryPlan Plan, GatewayError? Error) Decide(Dialect dialect, string body, string? prefer)
    {
        var headers = new HeaderDictionary();
        if (prefer is not null) headers["Prefer"] = prefer;
        return DeliveryPlan.Of(DialectCalls.Answered(dialect, body), headers);
    }

    private static string Chat(bool stream, string? webhook = null)
    {
        var extension = webhook is null ? "" : $$$""","fairlead":{"webhook":{"url":"{{{webhook}}}"}}""";
        return $$"""{"model":"fast","messages":[{"role":"user","content":"Hi"}],"stream":{{Json(stream)}}{{extension}}}""";
    }

    private static string Json(bool value) => value ? "true" : "false";
}
