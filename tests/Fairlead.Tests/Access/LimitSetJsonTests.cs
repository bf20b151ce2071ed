using System.Text.Json;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Access;
using Fairlead.Errors;

namespace Fairlead.Tests.Access;

public sealed class LimitSetJsonTests
{
    [Fact]
    public void Parse_WrittenLimits_AreTheSame() =>
        LimitSets.Any.Sample(limits => LimitSets.Same(limits, LimitSetJson.Parse(LimitSetJson.Text(limits))));

    [Fact]
    public void Text_EqualLimits_IsEqual() => LimitSets.Any.Sample(limits =>
    {
        // Classes in another order.
        var other = limits with { Classes = limits.Classes.Reverse().ToDictionary(one => one.Key, one => one.Value) };
        return LimitSetJson.Text(limits) == LimitSetJson.Text(other);
    });

    [Fact]
    public void Merge_AnyPatch_FollowsRfc7396() => Gen.Select(LimitSets.Any, Patches).Sample((limits, patch) =>
    {
        var merged = LimitSetJson.Merge(limits, JsonDocument.Parse(patch).RootElement, "", (_, error) => Assert.Fail($"{error.Pointer}: {error.Detail}"));
        var expected = MergePatch(JsonNode.Parse(LimitSetJson.Text(limits) ?? "{}"), JsonNode.Parse(patch));
        Assert.True(LimitSets.Same(LimitSetJson.Parse(expected?.ToJsonString() ?? "{}"), merged), patch);
    });

    [Fact]
    public void Write_EveryMember_HasItsNameOnTheWire()
    {
        const string Text = """
            {"requests_per_minute":1,"input_tokens_per_minute":2,"output_tokens_per_minute":3,"concurrent_generations":4,"tokens_per_day":0,"tokens_per_month":6,"usd_per_day":0.000000000001,"usd_per_month":12.5,"input_tokens_per_request":9,"output_tokens_per_request":10,"burst":1.5,"elastic":{"min":0.25,"max":2},"classes":{"realtime":{"burst":2},"standard":{"usd_per_day":0},"bulk":{"elastic":{"min":1,"max":1}}}}
            """;
        var limits = LimitSetJson.Parse(Text);
        Assert.True(LimitSets.Same(limits, new LimitSet
        {
            RequestsPerMinute = 1, InputTokensPerMinute = 2, OutputTokensPerMinute = 3, ConcurrentGenerations = 4, TokensPerDay = 0, TokensPerMonth = 6,
            PicoUsdPerDay = 1, PicoUsdPerMonth = 12_500_000_000_000, InputTokensPerRequest = 9, OutputTokensPerRequest = 10, Burst = 1.5m,
            Elastic = new ElasticRange(0.25m, 2),
            Classes = new Dictionary<string, LimitSet>
            {
                ["realtime"] = new() { Burst = 2 }, ["standard"] = new() { PicoUsdPerDay = 0 }, ["bulk"] = new() { Elastic = new ElasticRange(1, 1) },
            },
        }));
        Assert.Equal(Text, LimitSetJson.Text(limits));
        Assert.Equal(LimitSetJson.Members, JsonNode.Parse(Text)!.AsObject().Select(member => member.Key));
    }

    [Theory]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("""{"burst":null,"elastic":false,"classes":null,"usd_per_day":null}""")]
    [InlineData("""{"elastic":null,"classes":{"bulk":null,"standard":{},"realtime":{"burst":null}}}""")]
    public void Text_NoLimits_IsNull(string patch)
    {
        var (limits, errors) = Merge(LimitSet.None, patch);
        Assert.Empty(errors);
        Assert.Null(LimitSetJson.Text(limits));
    }

    [Theory]
    [InlineData("""{"elastic":true}""", "0.25", "2")]
    [InlineData("""{"elastic":{}}""", "0.25", "2")]
    [InlineData("""{"elastic":{"min":0.5}}""", "0.5", "2")]
    [InlineData("""{"elastic":{"max":3.5,"min":null}}""", "0.25", "3.5")]
    public void Parse_Elastic_HasDefaultsForWhatIsMissing(string text, string min, string max) =>
        Assert.Equal(new ElasticRange(decimal.Parse(min, null), decimal.Parse(max, null)), LimitSetJson.Parse(text).Elastic);

    [Theory]
    [InlineData("[]", "/limits")]
    [InlineData("7", "/limits")]
    [InlineData("""{"requests_per_minute":0}""", "/limits/requests_per_minute")]
    [InlineData("""{"requests_per_minute":-1}""", "/limits/requests_per_minute")]
    [InlineData("""{"requests_per_minute":1.5}""", "/limits/requests_per_minute")]
    [InlineData("""{"requests_per_minute":"60"}""", "/limits/requests_per_minute")]
    [InlineData("""{"requests_per_minute":"NaN"}""", "/limits/requests_per_minute")]
    [InlineData("""{"requests_per_minute":true}""", "/limits/requests_per_minute")]
    [InlineData("""{"concurrent_generations":1e16}""", "/limits/concurrent_generations")]
    [InlineData("""{"tokens_per_day":-1}""", "/limits/tokens_per_day")]
    [InlineData("""{"usd_per_day":1e-13}""", "/limits/usd_per_day")]
    [InlineData("""{"usd_per_month":9000000.01}""", "/limits/usd_per_month")]
    [InlineData("""{"input_tokens_per_request":0}""", "/limits/input_tokens_per_request")]
    [InlineData("""{"burst":0}""", "/limits/burst")]
    [InlineData("""{"burst":60.1}""", "/limits/burst")]
    [InlineData("""{"elastic":1}""", "/limits/elastic")]
    [InlineData("""{"elastic":{"min":0}}""", "/limits/elastic/min")]
    [InlineData("""{"elastic":{"max":0.9}}""", "/limits/elastic/max")]
    [InlineData("""{"elastic":{"max":true}}""", "/limits/elastic/max")]
    [InlineData("""{"classes":[]}""", "/limits/classes")]
    [InlineData("""{"classes":{"bulk":true}}""", "/limits/classes/bulk")]
    [InlineData("""{"classes":{"bulk":{"burst":"2"}}}""", "/limits/classes/bulk/burst")]
    public void Merge_InvalidValue_ReportsItsPointerAndChangesNothing(string patch, string pointer)
    {
        var target = new LimitSet { RequestsPerMinute = 5 };
        var (limits, errors) = Merge(target, patch);
        var (code, error) = Assert.Single(errors);
        Assert.Equal((ErrorCode.InvalidParameter, pointer), (code, error.Pointer));
        Assert.StartsWith("Must be ", error.Detail, StringComparison.Ordinal);
        Assert.True(LimitSets.Same(target, limits));
    }

    [Theory]
    [InlineData("""{"requests_per_second":1}""", "/limits/requests_per_second")]
    [InlineData("""{"requestsPerMinute":1}""", "/limits/requestsPerMinute")]
    [InlineData("""{"a/b~c":null}""", "/limits/a~1b~0c")]
    [InlineData("""{"\ud800":1}""", "/limits/?")]
    [InlineData("""{"elastic":{"factor":1}}""", "/limits/elastic/factor")]
    [InlineData("""{"classes":{"gold":null}}""", "/limits/classes/gold")]
    [InlineData("""{"classes":{"bulk":{"classes":{}}}}""", "/limits/classes/bulk/classes")]
    public void Merge_UnknownName_ReportsItsPointer(string patch, string pointer)
    {
        var (code, error) = Assert.Single(Merge(LimitSet.None, patch).Errors);
        Assert.Equal((ErrorCode.UnsupportedParameter, pointer), (code, error.Pointer));
    }

    [Fact]
    public void Merge_ManyErrors_ReportsAllInOrder() =>
        Assert.Equal(
            ["/limits/requests_per_minute", "/limits/x", "/limits/elastic/min", "/limits/elastic/y", "/limits/classes/bulk/burst", "/limits/classes/gold", "/limits/burst"],
            Merge(LimitSet.None, """{"requests_per_minute":0,"x":1,"elastic":{"min":2,"y":1},"classes":{"bulk":{"burst":0},"gold":{}},"burst":99}""").Errors.Select(one => one.Error.Pointer));

    [Theory]
    [InlineData("garbage")]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("""{"requests_per_minute":-5}""")]
    [InlineData("""{"classes":{"gold":{}}}""")]
    public void ParseOrNull_EditedByHand_ReturnsNull(string text) => Assert.Null(LimitSetJson.ParseOrNull(text));

    private static (LimitSet Limits, List<(ErrorCode Code, FieldError Error)> Errors) Merge(LimitSet target, string patch)
    {
        var errors = new List<(ErrorCode, FieldError)>();
        using var document = JsonDocument.Parse(patch);
        return (LimitSetJson.Merge(target, document.RootElement, "/limits", (code, error) => errors.Add((code, error))), errors);
    }

    // The function of section 2 of the RFC.
    private static JsonNode? MergePatch(JsonNode? target, JsonNode? patch)
    {
        if (patch is not JsonObject members) return patch?.DeepClone();
        var result = target as JsonObject ?? [];
        foreach (var (name, value) in members)
        {
            if (value is null) result.Remove(name);
            else result[name] = MergePatch(result[name]?.DeepClone(), value);
        }
        return result;
    }

    /// <summary>Valid limits in which members are replaced by null, and other spellings of elastic and of no classes.</summary>
    private static readonly Gen<string> Patches = Gen.Select(LimitSets.Any, Gen.Int[0, 3].Array[64]).Select((limits, choices) =>
    {
        if (choices[63] == 0 && choices[62] == 0) return "null";
        var at = 0;
        var patch = JsonNode.Parse(LimitSetJson.Text(limits) ?? "{}")!.AsObject();
        Change(patch);
        foreach (var name in CallClasses.All)
        {
            if (patch["classes"]?[name] is JsonObject values) Change(values);
        }
        if (patch["classes"] is JsonObject classes && choices[61] == 0) classes[CallClasses.Bulk] = null;
        return patch.ToJsonString();

        void Change(JsonObject values)
        {
            foreach (var name in LimitSetJson.ClassMembers)
            {
                if (choices[at++ % 60] == 0) values[name] = null;
            }
            if (values["elastic"] is not null && choices[at++ % 60] is > 0 and var form)
                values["elastic"] = form == 1 ? JsonValue.Create(true) : form == 2 ? new JsonObject { ["max"] = 3 } : new JsonObject { ["min"] = null };
        }
    });
}
