using Fairlead.Providers;
using Fairlead.Providers.Http;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Providers;

/// <summary>Keys are used in turn; a rejected one is left out and tested once a minute.</summary>
public sealed class ApiKeyRingTests : IDisposable
{
    private readonly FakeTimeProvider _time = new();
    private readonly UpstreamClient _client;

    public ApiKeyRingTests() =>
        _client = new UpstreamClient(new ProviderConfig { Kind = "openai" }, _time, NullLogger.Instance);

    public void Dispose() => _client.Dispose();

    [Fact]
    public void Next_SeveralKeys_UsesThemInTurn()
    {
        var ring = Ring("a", "b", "c");
        Assert.Equal(["a", "b", "c", "a"], Next(ring, 4));
        Assert.Null(Ring().Next());
    }

    [Fact]
    public void Rejected_OneKey_IsLeftOutUntilItsTest()
    {
        var ring = Ring("a", "b", "c");
        Next(ring, 1);
        var rejected = ring.Next()!;
        Assert.Equal("b", rejected.Value);
        Assert.True(rejected.Rejected());
        Assert.DoesNotContain("b", Next(ring, 20));

        _time.Advance(ApiKeyRing.TestInterval);
        // One request tests it.
        Assert.Single(Next(ring, 20), "b");
        _time.Advance(ApiKeyRing.TestInterval);
        UpstreamKey test;
        do test = ring.Next()!;
        while (test.Value != "b");
        test.Accepted();
        Assert.Equal(7, Next(ring, 21).Count(key => key == "b"));
    }

    [Fact]
    public void Rejected_AllKeys_ReportsThatNoneIsLeft()
    {
        var ring = Ring("a", "b");
        Assert.True(ring.Next()!.Rejected());
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.False(ring.Next()!.Rejected());
        // Something must be sent, so that the breaker can test the deployment: the key that is tested first.
        Assert.Equal("a", ring.Next()!.Value);
    }

    [Fact]
    public void Rejected_SingleKey_IsStillUsed()
    {
        var ring = Ring("a");
        Assert.False(ring.Next()!.Rejected());
        Assert.Equal("a", ring.Next()!.Value);
    }

    /// <summary>Limits are looked up for these only: a rejected key has room that no call can use.</summary>
    [Fact]
    public void UsableIds_RejectedKeys_AreLeftOutUntilTheirTest()
    {
        var ring = Ring("a", "b", "c");
        Assert.Same(ring.Ids, ring.UsableIds);
        var first = ring.Next()!;
        first.Rejected();
        Assert.Equal(ring.Ids[1..], ring.UsableIds);
        _time.Advance(TimeSpan.FromSeconds(1));
        ring.Next()!.Rejected();
        ring.Next()!.Rejected();
        Assert.Equal([first.Id], ring.UsableIds);

        _time.Advance(ApiKeyRing.TestInterval - TimeSpan.FromSeconds(1));
        Assert.Equal([first.Id], ring.UsableIds);
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Same(ring.Ids, ring.UsableIds);
        var single = Ring("a");
        single.Next()!.Rejected();
        Assert.Same(single.Ids, single.UsableIds);
    }

    private static IEnumerable<string> Next(ApiKeyRing ring, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => ring.Next()!.Value)];

    private ApiKeyRing Ring(params string[] keys) => new("up", new ProviderConfig { Kind = "openai", ApiKeys = keys }, _client);
}
