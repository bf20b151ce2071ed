using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Providers;

namespace Fairlead.Tests.Providers;

public class ExtraFieldsTests
{
    [Fact]
    public void Omit_UnknownFieldsAndHints_AreReported()
    {
        var told = Omit(new() { ["store"] = true, ["wibble"] = new JsonObject(), ["service_tier"] = "flex", ["min_p"] = 0.1 });
        Assert.Equal(["store", "wibble", "service_tier", "min_p"], told);
    }

    [Fact]
    public void Omit_FieldsSetToFalseOrNull_ReportsNothing() => Assert.Empty(Omit(new() { ["store"] = false, ["moderation"] = null, ["audio"] = false }));

    [Theory]
    [InlineData("web_search_options")]
    [InlineData("moderation")]
    [InlineData("guided_json")]
    public void Omit_FieldThatChangesResponse_IsRefused(string name)
    {
        var error = Assert.Throws<GatewayErrorException>(() => Omit(new() { ["store"] = true, [name] = new JsonObject() })).Error;
        Assert.Equal((ErrorCode.UnsupportedParameter, name), (error.Code, error.Parameter));
        Assert.Contains($"'{name}'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Omit_LongFieldName_IsReportedTruncated()
    {
        var told = Assert.Single(Omit(new() { [new string('x', 63) + "😀" + new string('y', 100_000)] = true }));
        Assert.InRange(told.Length, 60, 70);
        Assert.DoesNotContain(told, char.IsSurrogate);
    }

    private static List<string> Omit(JsonObject extra)
    {
        var told = new List<string>();
        ExtraFields.Omit(new ConversationRequest { Messages = [Message.Of(Role.User, "Hi")], Extra = extra }, told.Add);
        return told;
    }
}
