using CsCheck;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Routing;

namespace Fairlead.Tests.Routing;

public sealed class RoutingRulesTests
{
    [Fact]
    public void Order_DistinctPriorities_KeepsOrderWithoutRandomness()
    {
        var deployments = new[] { At(1, 1), At(2, 5), At(3, 1) };
        Assert.Same(deployments, DeploymentOrder.Of(deployments, () => throw new InvalidOperationException("no chance is needed")));
    }

    [Fact]
    public void Order_EqualPriorities_FollowsWeight()
    {
        var random = new Random(7);
        var deployments = new[] { At(1, 9), At(1, 1), At(2, 100) };
        var first = 0;
        for (var i = 0; i < 2000; i++)
        {
            var order = DeploymentOrder.Of(deployments, random.NextDouble);
            Assert.Same(deployments[2], order[2]);
            if (ReferenceEquals(order[0], deployments[0])) first++;
        }
        Assert.InRange(first, 1700, 1900);
    }

    [Fact]
    public void Order_AnyWeights_ReturnsPermutationByPriority() =>
        Gen.Select(Gen.Int[1, 3], Gen.Int[0, 5]).Array[1, 8].Sample((pairs) =>
        {
            var deployments = pairs.OrderBy(pair => pair.Item1).Select(pair => At(pair.Item1, pair.Item2)).ToArray();
            var order = DeploymentOrder.Of(deployments, Random.Shared.NextDouble);
            Assert.Equal(deployments.Length, order.Distinct(ReferenceEqualityComparer.Instance).Count());
            Assert.Equal(deployments.Select(deployment => deployment.Priority), order.Select(deployment => deployment.Priority));
        });

    [Fact]
    public void RetryDelay_RetryAfterTooLong_ReturnsNull()
    {
        Assert.Null(RetryDelay.Of(1, TimeSpan.FromSeconds(30), new RetryConfig(), 0.5));
    }

    [Fact]
    public void RetryDelay_AnyRetry_RespectsRetryAfterAndMaxDelay() =>
        Gen.Select(Gen.Int[1, 40], Gen.Int[0, 5000], Gen.Double[0, 0.999]).Sample((retry, asked, random) =>
        {
            var config = new RetryConfig();
            var plain = RetryDelay.Of(retry, null, config, random)!.Value;
            Assert.InRange(plain, config.BaseDelay / 2, config.MaxDelay);
            var wait = TimeSpan.FromMilliseconds(asked);
            Assert.True(RetryDelay.Of(retry, wait, config, random)!.Value >= wait);
        });

    private static Deployment At(int priority, int weight) =>
        new() { Name = $"p{priority}", ProviderName = "p", UpstreamModel = "m", Priority = priority, Weight = weight };
}
