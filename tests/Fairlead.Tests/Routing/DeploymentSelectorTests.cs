using Fairlead.Catalogue;
using Fairlead.Pipeline;
using Fairlead.Routing;

namespace Fairlead.Tests.Routing;

/// <summary>Priority first, then the strategy; a request may only narrow and reorder.</summary>
public sealed class DeploymentSelectorTests : IDisposable
{
    private readonly RoutingWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Fact]
    public void Select_Drained_IsLeftOutAndNamedAsTheReason()
    {
        using var world = new RoutingWorld();
        var call = RoutingWorld.Call(SelectionStrategy.Weight, [RoutingWorld.At("a", 1), RoutingWorld.At("b", 2), RoutingWorld.At("c", 3)]);
        world.States.Replace(["a/m", "gone/m"]);
        var selection = world.Selector.Select(call);
        Assert.Equal((AttemptReasons.Drained, true), (selection.Reason, selection.HasDrained));
        Assert.Equal("b c", world.Order(call));
        world.States.Replace(["b/m"]);
        selection = world.Selector.Select(call);
        Assert.Equal((AttemptReasons.Priority, true), (selection.Reason, selection.HasDrained));
        Assert.Equal("a c", world.Order(call));
        world.States.Replace(["a/m", "b/m", "c/m"]);
        Assert.Empty(world.Selector.Select(call).Deployments);
        world.States.Replace([]);
        Assert.Equal("a b c", world.Order(call));
    }

    [Fact]
    public void Select_OneDeployment_ReturnsTheListOfTheModel()
    {
        var deployments = new[] { RoutingWorld.At("a") };
        var selection = _world.Selector.Select(RoutingWorld.Call(SelectionStrategy.Latency, deployments));
        Assert.Same(deployments, selection.Deployments);
        Assert.Equal("only", selection.Reason);
    }

    /// <summary>What every call pays: selection, breaker and budget of one healthy deployment.</summary>
    [Fact]
    public void Select_OneHealthyDeployment_AllocatesNothing()
    {
        var call = RoutingWorld.Call(SelectionStrategy.Weight, [RoutingWorld.At("a")]);
        for (var i = 0; i < 100; i++) Pass();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++) Pass();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Pass()
        {
            var health = _world.Healths.Of(_world.Selector.Select(call).Deployments[0]);
            if (health.UntilTest is not null || !health.TryEnter(out var ticket)) throw new InvalidOperationException("It is open.");
            health.Retries.AddCall();
            ticket.GiveBack();
            ticket.Succeeded();
        }
    }

    [Theory]
    [InlineData("weight")]
    [InlineData("latency")]
    [InlineData("cost")]
    [InlineData("session")]
    public void Select_DistinctPriorities_KeepsTheirOrder(string strategy)
    {
        var deployments = new[] { RoutingWorld.At("a", 1, price: 9), RoutingWorld.At("b", 2), RoutingWorld.At("c", 3) };
        var selection = _world.Selector.Select(RoutingWorld.Call(SelectionStrategies.Of(strategy), deployments));
        Assert.Same(deployments, selection.Deployments);
        Assert.Equal("priority", selection.Reason);
    }

    [Fact]
    public void Cost_EqualPriority_CheapestForTheCallFirst()
    {
        var call = RoutingWorld.Call(SelectionStrategy.Cost,
            [RoutingWorld.At("a", price: 3), RoutingWorld.At("b", price: 1), RoutingWorld.At("c", price: 2), RoutingWorld.At("d", 2, price: 0)]);
        for (var i = 0; i < 20; i++) Assert.Equal("b c a d", _world.Order(call));
        Assert.Equal("cost", _world.Selector.Select(call).Reason);
    }

    [Fact]
    public void Latency_TwoChoices_PrefersTheFasterOne()
    {
        var deployments = new[] { RoutingWorld.At("slow"), RoutingWorld.At("fast") };
        Took(deployments[0], 2);
        Took(deployments[1], 0.1);
        var call = RoutingWorld.Call(SelectionStrategy.Latency, deployments);
        for (var i = 0; i < 20; i++) Assert.Equal("fast slow", _world.Order(call));
        Assert.Equal("latency", _world.Selector.Select(call).Reason);
    }

    /// <summary>A deployment that is fast alone is not, with thirty calls in progress.</summary>
    [Fact]
    public void Latency_CallsInProgress_CountLikeWaiting()
    {
        var deployments = new[] { RoutingWorld.At("slow"), RoutingWorld.At("fast") };
        Took(deployments[0], 2);
        Took(deployments[1], 0.1);
        var running = Enumerable.Range(0, 30).Select(_ => Enter(deployments[1])).ToList();
        var call = RoutingWorld.Call(SelectionStrategy.Latency, deployments);
        Assert.Equal("slow fast", _world.Order(call));
        foreach (var ticket in running) ticket.GiveBack();
        Assert.Equal("fast slow", _world.Order(call));
    }

    [Fact]
    public void Latency_NothingKnown_IsTriedButNotFlooded()
    {
        var deployments = new[] { RoutingWorld.At("known"), RoutingWorld.At("new") };
        Took(deployments[0], 2);
        var call = RoutingWorld.Call(SelectionStrategy.Latency, deployments);
        Assert.Equal("new known", _world.Order(call));
        Enter(deployments[1]);
        Assert.Equal("known new", _world.Order(call));
    }

    /// <summary>Of many, the fastest does not get every call: two are drawn.</summary>
    [Fact]
    public void Latency_ManyDeployments_SpreadsCalls()
    {
        var deployments = Enumerable.Range(0, 5).Select(i => RoutingWorld.At($"d{i}")).ToArray();
        for (var i = 0; i < 5; i++) Took(deployments[i], 0.1 * (i + 1));
        var call = RoutingWorld.Call(SelectionStrategy.Latency, deployments);
        var firsts = Enumerable.Range(0, 1000).Select(_ => _world.Order(call).Split(' ')[0]).CountBy(name => name).ToDictionary();
        // The fastest is in 4 of 10 pairs, the next in 3 of the rest, and the slowest is never the faster one.
        Assert.InRange(firsts["d0"], 330, 470);
        Assert.InRange(firsts["d1"], 230, 370);
        Assert.DoesNotContain("d4", firsts.Keys);
    }

    [Fact]
    public void Session_SameConversation_ReturnsToItsDeployment()
    {
        var deployments = Enumerable.Range(0, 4).Select(i => RoutingWorld.At($"d{i}")).ToArray();
        var used = new HashSet<string>();
        for (var session = 0; session < 40; session++)
        {
            var first = _world.Order(Turn(deployments, session, 1));
            for (var turn = 2; turn < 5; turn++) Assert.Equal(first, _world.Order(Turn(deployments, session, turn)));
            used.Add(first.Split(' ')[0]);
        }
        Assert.Equal(4, used.Count);
        Assert.Equal("session", _world.Selector.Select(Turn(deployments, 1, 1)).Reason);
    }

    /// <summary>Only the sessions of a deployment that is gone move.</summary>
    [Fact]
    public void Session_DeploymentGone_MovesOnlyItsSessions()
    {
        var deployments = Enumerable.Range(0, 4).Select(i => RoutingWorld.At($"d{i}")).ToArray();
        for (var session = 0; session < 40; session++)
        {
            var before = _world.Order(Turn(deployments, session, 1)).Split(' ');
            var after = _world.Order(Turn(deployments[..3], session, 1)).Split(' ');
            Assert.Equal(before.Where(name => name != "d3"), after);
        }
    }

    [Fact]
    public void Session_Weights_SpreadSessions()
    {
        var deployments = new[] { RoutingWorld.At("big", weight: 3), RoutingWorld.At("small") };
        var big = Enumerable.Range(0, 1000).Count(session => _world.Order(Turn(deployments, session, 1))[0] == 'b');
        Assert.InRange(big, 690, 810);
    }

    [Theory]
    [InlineData("\"prompt_cache_key\":\"k\"", "\"prompt_cache_key\":\"k\",\"user\":\"other\"", true)]
    [InlineData("\"user\":\"u\"", "\"user\":\"u\"", true)]
    [InlineData("\"safety_identifier\":\"u\"", "\"safety_identifier\":\"u\",\"metadata\":{\"user_id\":\"x\"}", true)]
    [InlineData("\"metadata\":{\"a\":[1],\"user_id\":\"x\"}", "\"user\":\"x\"", true)]
    [InlineData("\"input\":\"a\"", "\"input\":\"b\"", false)]
    [InlineData("\"system\":\"a\"", "\"system\":\"b\"", false)]
    [InlineData("\"user\":\"u\"", "\"user\":\"v\"", false)]
    public void SessionKey_OfBodies_IsTheSameForOneSession(string one, string other, bool isSame)
    {
        var deployments = Enumerable.Range(0, 8).Select(i => RoutingWorld.At($"d{i}")).ToArray();
        var (first, second) = (Key(one), Key(other));
        Assert.Equal(isSame, deployments.All(d => first.ScoreOf(d) == second.ScoreOf(d)));

        SessionKey Key(string members) => SessionKey.Of(RoutingWorld.Call(SelectionStrategy.Session, deployments, members))!;
    }

    [Fact]
    public void SessionKey_NothingToGoBy_IsNull()
    {
        Assert.Null(SessionKey.Of(RoutingWorld.Call(SelectionStrategy.Session, [], "\"messages\":[],\"input\":null,\"user\":7")));
        Assert.Null(SessionKey.Of(RoutingWorld.Call(SelectionStrategy.Session, [], "\"messages\":[],\"user\":\"\\ud800\"")));
        Assert.Equal("weight", _world.Selector.Select(RoutingWorld.Call(SelectionStrategy.Session, [RoutingWorld.At("a"), RoutingWorld.At("b")])).Reason);
    }

    [Fact]
    public void Hints_Order_ComesBeforePriority()
    {
        var deployments = new[] { RoutingWorld.At("a", 1), RoutingWorld.At("b", 2), RoutingWorld.At("c", 3) };
        var call = RoutingWorld.With(RoutingWorld.Call(SelectionStrategy.Weight, deployments), new RouteHints { Order = ["c/m", "nobody", "b"] });
        Assert.Equal("c b a", _world.Order(call));
        Assert.Equal("order", _world.Selector.Select(call).Reason);
    }

    [Fact]
    public void Hints_OnlyExcludeAndPrice_LeaveOut()
    {
        var deployments = new[] { RoutingWorld.At("a", 1, price: 1), RoutingWorld.At("b", 2, price: 2), RoutingWorld.At("c", 3, price: 3) };
        Assert.Equal("b", Order(new RouteHints { Only = ["b"] }));
        Assert.Equal("a c", Order(new RouteHints { Exclude = ["b/m"] }));
        Assert.Equal("a b", Order(new RouteHints { MaxInputPrice = 2 }));
        Assert.Equal("a", Order(new RouteHints { MaxOutputPrice = 1.5m }));
        Assert.Equal("", Order(new RouteHints { Only = [] }));
        Assert.NotNull(RouteFilter.Check(RoutingWorld.Call(SelectionStrategy.Weight, deployments).Model, new RouteHints { Only = ["x"] }, default, "route"));
        Assert.Null(RouteFilter.Check(RoutingWorld.Call(SelectionStrategy.Weight, deployments).Model, new RouteHints { Only = ["a"] }, default, "route"));

        string Order(RouteHints hints) => _world.Order(RoutingWorld.With(RoutingWorld.Call(SelectionStrategy.Weight, deployments), hints));
    }

    [Fact]
    public void Hints_Prefer_ReplacesTheStrategy()
    {
        var call = RoutingWorld.Call(SelectionStrategy.Session, [RoutingWorld.At("a", price: 3), RoutingWorld.At("b", price: 1)], "\"user\":\"u\"");
        Assert.Equal("cost", _world.Selector.Select(RoutingWorld.With(call, new RouteHints { Prefer = RoutePreference.Cost })).Reason);
        Assert.Equal("latency", _world.Selector.Select(RoutingWorld.With(call, new RouteHints { Prefer = RoutePreference.Latency })).Reason);
    }

    private static GatewayCall Turn(IReadOnlyList<Deployment> deployments, int session, int turns)
    {
        var messages = $$"""{"role":"system","content":"You help."},{"content":[{"type":"text","text":"Session {{session}}"}],"role":"user"}""";
        for (var turn = 1; turn < turns; turn++) messages += $$""",{"role":"assistant","content":"{{turn}}"},{"role":"user","content":"more {{turn}}"}""";
        return RoutingWorld.Call(SelectionStrategy.Session, deployments, $"\"temperature\":0.{turns},\"messages\":[{messages}]");
    }

    private HealthTicket Enter(Deployment deployment)
    {
        Assert.True(_world.Healths.Of(deployment).TryEnter(out var ticket));
        return ticket;
    }

    private void Took(Deployment deployment, double seconds) => _world.Healths.Of(deployment).Response.Observe(TimeSpan.FromSeconds(seconds));
}
