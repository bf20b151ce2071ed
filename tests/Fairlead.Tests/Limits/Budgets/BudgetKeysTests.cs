using CsCheck;
using Fairlead.Limits;
using Fairlead.Limits.Budgets;

namespace Fairlead.Tests.Limits.Budgets;

public sealed class BudgetKeysTests
{
    private static readonly Gen<BudgetKey> Keys =
        from scope in Gen.Enum<LimitScope>()
        from ids in Gen.Select(Gen.String[Gen.Char["ab|% /é\0"], 1, 8], Gen.String[Gen.Char["ab|% /é\0"], 1, 8])
        from model in Gen.String[Gen.Char["m|/: "], 1, 5].Null()
        from callClass in Gen.Int[0, 2].Select(i => Fairlead.Access.CallClasses.All[i]).Null()
        from name in Gen.Int[(int)LimitName.TokensPerDay, (int)LimitName.UsdPerMonth].Select(i => (LimitName)i)
        from month in Gen.Int[1, 12]
        select new BudgetKey(scope, ids.Item1, ids.Item2, model, callClass, name, new(2026, month, 1, 0, 0, 0, TimeSpan.Zero));

    [Fact]
    public void ToText_AnyKey_ReadsBackWithoutSpaces() => Keys.Sample(key =>
    {
        var text = key.ToText();
        Assert.DoesNotContain(' ', text);
        Assert.True(BudgetKeys.TryParse(text, out var read));
        Assert.Equal(key, read);
    });

    [Theory]
    [InlineData("")]
    [InlineData("key|a|b|||usd_per_day")]
    [InlineData("planet|a|b|||usd_per_day|0")]
    [InlineData("key|a|b|||requests_per_minute|0")]
    [InlineData("key|a|b|||usd_per_day|x")]
    [InlineData("key|a|b|||usd_per_day|9223372036854775807")]
    public void TryParse_OtherText_ReturnsFalse(string text) => Assert.False(BudgetKeys.TryParse(text, out _));

    [Fact]
    public void Contains_MonthAndDay_EndBeforeTheNext()
    {
        var month = BudgetWorld.Key(name: LimitName.UsdPerMonth);
        Assert.Equal(new DateTimeOffset(2026, 12, 1, 0, 0, 0, TimeSpan.Zero), month.PeriodEnd);
        Assert.True(month.Contains(month.PeriodStart.ToUnixTimeMilliseconds()));
        Assert.False(month.Contains(month.PeriodEnd.ToUnixTimeMilliseconds()));
        Assert.Equal(TimeSpan.FromDays(1), BudgetWorld.Key(name: LimitName.TokensPerDay) is var day ? day.PeriodEnd - day.PeriodStart : default);
    }
}
