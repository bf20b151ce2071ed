using System.Text;
using CsCheck;
using Fairlead.Access;
using Fairlead.Limits;

namespace Fairlead.Tests.Limits;

public sealed class RateLimitFieldsTests
{
    private static RateLimitFields Fields(LimitState[] states, long? retryAfter = null, string? refusing = null) =>
        RateLimitFields.Of(states, LimitSamples.Now, retryAfter, refusing)!.Value;

    [Fact]
    public void Of_EveryKindOfLimit_ListsThemByTightness()
    {
        var (policy, rate) = Fields(LimitSamples.All);
        Assert.Equal(
            "\"project-output-tokens\";q=8000;w=60;qu=\"fairlead-tokens\", \"model-tokens-day\";q=1000000;w=86400;qu=\"fairlead-tokens\";pk=:ZmFzdA==:, "
            + "\"key-concurrent\";q=4;qu=\"concurrent-requests\", \"org-usd-month-bulk\";q=100000000;w=2592000;qu=\"fairlead-microdollars\", "
            + "\"key-requests\";q=60;w=60, \"org-input-tokens\";q=40000;w=60;qu=\"fairlead-tokens\"",
            policy);
        Assert.Equal(
            "\"project-output-tokens\";r=1000;t=53, \"model-tokens-day\";r=600000;t=43200;pk=:ZmFzdA==:, \"key-concurrent\";r=3, "
            + "\"org-usd-month-bulk\";r=87750000;t=648000, \"key-requests\";r=57;t=3, \"org-input-tokens\";r=39200;t=2",
            rate);
    }

    [Fact]
    public void Of_RetryAfter_DoesNotEndBeforeAnyWindow()
    {
        // The requests refuse: one is served in a second, all of them only in a minute.
        var refused = LimitSamples.Rate(LimitName.RequestsPerMinute, 60, 0, 60);
        var (_, rate) = Fields([LimitSamples.OutputTokens, LimitSamples.InputTokens, refused, LimitSamples.UsdPerMonth], retryAfter: 2, refusing: "key-requests");
        Assert.Equal("\"key-requests\";r=0;t=2, \"project-output-tokens\";r=1000, \"org-usd-month-bulk\";r=87750000, \"org-input-tokens\";r=39200;t=2", rate);
    }

    [Fact]
    public void Of_RefusalWithoutRetryAfter_ShowsEveryWindowAndTheRefusingLimitFirst()
    {
        var (_, rate) = Fields([LimitSamples.OutputTokens, LimitSamples.UsdPerMonth], refusing: "org-usd-month-bulk");
        Assert.Equal("\"org-usd-month-bulk\";r=87750000;t=648000, \"project-output-tokens\";r=1000;t=53", rate);
    }

    [Fact]
    public void Of_OnlyLimitsOfASingleRequest_HasNoFields() =>
        Assert.Null(RateLimitFields.Of([LimitSamples.InputTokensPerRequest], LimitSamples.Now));

    [Fact]
    public void Of_FractionsOfAMicrodollar_AreRoundedDown()
    {
        var state = LimitSamples.UsdPerMonth with { Remaining = 1_999_999, Class = null };
        Assert.Equal("\"org-usd-month\";r=1;t=648000", Fields([state]).RateLimit);
    }

    [Fact]
    public void PolicyNames_AllLimitsOfACall_AreUnique()
    {
        var names = from scope in Enum.GetValues<LimitScope>()
                    from name in Enum.GetValues<LimitName>()
                    from ofClass in (string?[])[null, .. CallClasses.All]
                    select LimitPolicyName.Of(new LimitState(name, scope, "x", null, ofClass, 1, 0, 0, 1, null, null));
        var all = names.ToList();
        Assert.Equal(all.Count, all.Distinct(StringComparer.Ordinal).Count());
    }

    private static readonly Gen<LimitState> AnyState = Gen.Select(
        Gen.Enum<LimitName>(), Gen.Enum<LimitScope>(), Gen.Long[0, long.MaxValue], Gen.Long[-10, long.MaxValue], Gen.Long[-1_000_000, 3_000_000_000],
        Gen.String[0, 20], Gen.Int[0, 3])
        .Select((name, scope, limit, remaining, wait, model, ofClass) => new LimitState(
            name, scope, "id", scope == LimitScope.Model ? model : null, ofClass < 3 ? CallClasses.All[ofClass] : null, limit, 0, 0, remaining, name.IsRate() ? 60 : null,
            name == LimitName.ConcurrentGenerations ? null : LimitSamples.Now.AddMilliseconds(wait)));

    [Fact]
    public void Of_AnyStates_AreBoundedStructuredFieldsThatJoinByName() =>
        Gen.Select(AnyState.Array[0, 40], Gen.Long[-20, 60].Select(seconds => seconds < 0 ? null : (long?)seconds)).Sample((states, retryAfter) =>
        {
            var quotas = states.Where(state => state.Name < LimitName.InputTokensPerRequest).ToArray();
            var refusing = quotas.Length > 0 ? LimitPolicyName.Of(quotas[^1]) : null;
            if (RateLimitFields.Of([.. states], LimitSamples.Now, retryAfter, refusing) is not { } fields)
            {
                Assert.Empty(quotas);
                return;
            }
            var policies = StructuredField.ParseList(fields.Policy);
            var limits = StructuredField.ParseList(fields.RateLimit);
            Assert.Equal(Math.Min(quotas.Length, RateLimitFields.MaxItems), limits.Count);
            Assert.Equal(policies.Select(item => item.Name), limits.Select(item => item.Name));
            Assert.Equal(refusing, limits[0].Name);
            foreach (var policy in policies)
            {
                Assert.True((long)policy.Parameters["q"] >= 0);
                if (policy.Parameters.TryGetValue("w", out var window)) Assert.True((long)window > 0);
                if (policy.Parameters.TryGetValue("qu", out var unit)) Assert.True(unit is "concurrent-requests" or "fairlead-tokens" or "fairlead-microdollars");
            }
            foreach (var limit in limits)
            {
                Assert.True((long)limit.Parameters["r"] >= 0);
                if (!limit.Parameters.TryGetValue("t", out var seconds)) continue;
                Assert.True((long)seconds >= 0);
                Assert.True(retryAfter is null || (long)seconds <= retryAfter);
            }
        });

    [Fact]
    public void Partition_ModelNameOutsideAscii_IsABytesequence()
    {
        var item = Assert.Single(StructuredField.ParseList(Fields([LimitSamples.TokensPerDay with { Model = "modèle:1" }]).RateLimit));
        Assert.Equal("modèle:1", Encoding.UTF8.GetString((byte[])item.Parameters["pk"]));
    }
}
