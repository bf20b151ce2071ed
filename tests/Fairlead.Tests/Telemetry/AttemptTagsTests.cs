using Fairlead.Catalogue;
using Fairlead.Telemetry;
using Fairlead.Tests.Catalogue;

namespace Fairlead.Tests.Telemetry;

public sealed class AttemptTagsTests
{
    private static Deployment Make() => new() { Name = "p/asked", ProviderName = "p", UpstreamModel = "asked", Provider = new FakeProvider("p", "openai") };

    [Fact]
    public void Of_SameNames_ReturnsSameInstance()
    {
        var deployment = Make();
        Assert.Same(AttemptTags.Of(deployment, "chat", "m-1"), AttemptTags.Of(deployment, "chat", new string("m-1")));
        Assert.NotSame(AttemptTags.Of(deployment, "chat", "m-1"), AttemptTags.Of(deployment, "embeddings", "m-1"));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    public void Of_ResponseWithoutModel_UsesRequestedModel(string? model) =>
        Assert.Contains(new KeyValuePair<string, object?>("gen_ai.response.model", "asked"), AttemptTags.Of(Make(), "chat", model).Plain);

    [Fact]
    public async Task Of_ManyDistinctModelNames_LimitsMetricSeries()
    {
        var deployment = Make();
        var seen = await Task.WhenAll(Enumerable.Range(0, 4).Select(part => Task.Run(() =>
            Enumerable.Range(0, 500).Select(i => AttemptTags.Of(deployment, "chat", $"m-{part}-{i}").Plain.Single(tag => tag.Key == "gen_ai.response.model").Value!).ToHashSet(), TestContext.Current.CancellationToken)));
        Assert.InRange(seen.SelectMany(names => names).Distinct().Count(), 2, AttemptTags.MaxModels + 1);
        Assert.Contains("asked", seen[0]);
        var tooLong = AttemptTags.Of(Make(), "chat", new string('x', 10_000)).Plain;
        Assert.Contains(new KeyValuePair<string, object?>("gen_ai.response.model", "asked"), tooLong);
    }
}
