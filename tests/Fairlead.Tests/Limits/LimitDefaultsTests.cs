using CsCheck;
using Fairlead.Access;
using Fairlead.Limits;
using Fairlead.Tests.Access;

namespace Fairlead.Tests.Limits;

public sealed class LimitDefaultsTests
{
    private static readonly LimitSet Defaults = new()
    {
        RequestsPerMinute = 60, TokensPerDay = 1000, Burst = 2, Elastic = ElasticRange.Default,
        Classes = new Dictionary<string, LimitSet> { [CallClasses.Bulk] = new() { RequestsPerMinute = 10, InputTokensPerMinute = 100 } },
    };

    [Fact]
    public void Apply_KeyWithoutLimits_HasTheDefaults() =>
        LimitSets.Any.Sample(defaults => LimitSets.Same(defaults, LimitDefaults.Apply(LimitSet.None, defaults)));

    [Fact]
    public void Apply_NoDefaults_KeepsTheLimitsOfTheKey() =>
        LimitSets.Any.Sample(own => LimitSets.Same(own, LimitDefaults.Apply(own, LimitSet.None)));

    [Fact]
    public void Apply_AnyKey_KeepsEveryLimitOfItsOwn() => Gen.Select(LimitSets.Any, LimitSets.Any).Sample((own, defaults) =>
    {
        var applied = LimitDefaults.Apply(own, defaults);
        return Keeps(own, applied) && own.Classes.All(one => Keeps(one.Value, applied.Classes[one.Key]));
    });

    [Fact]
    public void Apply_KeySetsOneLimit_OthersAreDefaults()
    {
        var applied = LimitDefaults.Apply(new LimitSet { RequestsPerMinute = 600 }, Defaults);
        Assert.Equal((600, 1000, 2m), (applied.RequestsPerMinute, applied.TokensPerDay, applied.Burst));
        Assert.Equal(ElasticRange.Default, applied.Elastic);
        // Its own value is that of every class.
        Assert.Null(applied.Classes[CallClasses.Bulk].RequestsPerMinute);
        Assert.Equal(100, applied.Classes[CallClasses.Bulk].InputTokensPerMinute);
    }

    [Fact]
    public void Apply_KeySetsClass_GeneralDefaultRemains()
    {
        var own = new LimitSet { Classes = new Dictionary<string, LimitSet> { [CallClasses.Bulk] = new() { RequestsPerMinute = 5 } } };
        var applied = LimitDefaults.Apply(own, Defaults);
        Assert.Equal((60, 5, 100), (applied.RequestsPerMinute, applied.Classes[CallClasses.Bulk].RequestsPerMinute, applied.Classes[CallClasses.Bulk].InputTokensPerMinute));
    }

    private static bool Keeps(LimitSet own, LimitSet applied) =>
        LimitField.All.All(field => field.Get(own) is not { } value || field.Get(applied) == value)
        && (own.Burst is null || applied.Burst == own.Burst) && (own.Elastic is null || applied.Elastic == own.Elastic);
}
