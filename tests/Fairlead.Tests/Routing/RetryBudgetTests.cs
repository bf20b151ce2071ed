using CsCheck;
using Fairlead.Routing;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Routing;

/// <summary>Retries stay a small share of the calls, however many attempts fail.</summary>
public sealed class RetryBudgetTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly RetryBudget _budget;

    public RetryBudgetTests() => _budget = new RetryBudget(_time);

    [Theory]
    [InlineData(0.5)]
    [InlineData(1.0)]
    public void Retry_ManyCallsFail_AttemptsStayWithinTheBudget(double errorRate)
    {
        var random = new Random(11);
        var attempts = 0;
        for (var call = 0; call < 1000; call++)
        {
            _time.Advance(TimeSpan.FromMilliseconds(20));
            _budget.AddCall();
            attempts++;
            for (var retry = 0; retry < 2 && random.NextDouble() < errorRate && _budget.TryRetry(0.2); retry++) attempts++;
        }
        Assert.InRange(attempts, 1100, 1200 + RetryBudget.Floor);
    }

    [Fact]
    public void Retry_FewCalls_AllowsTheFloorInEachWindow()
    {
        for (var round = 0; round < 3; round++)
        {
            _budget.AddCall();
            for (var i = 0; i < RetryBudget.Floor; i++) Assert.True(_budget.TryRetry(0.2));
            Assert.False(_budget.TryRetry(0.2));
            _time.Advance(RetryBudget.Window);
        }
    }

    [Fact]
    public void Retry_AnySequenceInAWindow_NeverExceedsTheBudget() =>
        Gen.Select(Gen.Double[0, 2], Gen.Bool.Array[0, 500]).Sample((share, steps) =>
        {
            var budget = new RetryBudget(new FakeTimeProvider());
            var (calls, retries) = (0, 0);
            foreach (var isCall in steps)
            {
                if (isCall)
                {
                    budget.AddCall();
                    calls++;
                    continue;
                }
                var isAllowed = budget.TryRetry(share);
                Assert.Equal(retries < Math.Max(RetryBudget.Floor, share * calls), isAllowed);
                if (isAllowed) retries++;
            }
        });
}
