using Fairlead.Coalescing;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Tests.Coalescing;

/// <summary>When inputs of several calls are sent, and together with which.</summary>
public sealed class EmbeddingBatchTests
{
    private static readonly TimeSpan Delay = new CoalescingConfig().BatchDelay;

    [Fact]
    public async Task Send_NothingInProgress_IsSentAtOnce()
    {
        using var world = new CoalescingWorld();
        var call = world.Send("a");
        Assert.Single(world.Requests).Succeed();
        await call.AssertVectorsAsync();
        var next = world.Send("a");
        Assert.Equal(2, world.Requests.Count);
        world.Requests[1].Succeed();
        await next.AssertVectorsAsync();
        Assert.Equal(0, world.Flights.Count);
    }

    [Fact]
    public async Task Send_RequestInProgress_WaitsForOthersUpToDelay()
    {
        using var world = new CoalescingWorld();
        var first = world.Send("a");
        SentCall[] later = [world.Send("b", "c"), world.Send("d"), world.Send("a", "e")];
        Assert.Single(world.Requests);
        world.Time.Advance(Delay - TimeSpan.FromTicks(1));
        Assert.Single(world.Requests);
        world.Time.Advance(TimeSpan.FromTicks(1));
        Assert.Equal(["b", "c", "d", "e"], world.Requests[1].Inputs);
        world.Requests[1].Succeed();
        world.Requests[0].Succeed();
        foreach (var call in later.Prepend(first)) await call.AssertVectorsAsync();
        // Each has an attempt of its own, and pays its share.
        Assert.All(later, call => Assert.Single(call.Call.Attempts));
        Assert.Equal(CoalescingWorld.TokensOf(["b", "c"]), world.PaidBy([later[0]]));
        Assert.Equal(CoalescingWorld.TokensOf(["e"]), world.PaidBy([later[2]]));
        Assert.Equal([false, false, true], later.Select(call => call.Call.IsCoalesced));
    }

    [Fact]
    public async Task Send_LastRequestEnds_SendsWhatWaits()
    {
        using var world = new CoalescingWorld();
        var first = world.Send("a");
        var second = world.Send("b");
        world.Requests[0].Succeed();
        await first.AssertVectorsAsync();
        await WaitAsync(() => world.Requests.Count == 2);
        world.Requests[1].Succeed();
        await second.AssertVectorsAsync();
    }

    [Fact]
    public async Task Send_RequestIsFull_IsSentBeforeDelay()
    {
        using var world = new CoalescingWorld(new CoalescingConfig { BatchInputs = 3 });
        var calls = new List<SentCall> { world.Send("a"), world.Send("b"), world.Send("c") };
        Assert.Single(world.Requests);
        // It does not fit, so the others go without it.
        calls.Add(world.Send("d", "e"));
        Assert.Equal(["b", "c"], world.Requests[1].Inputs);
        calls.Add(world.Send("f"));
        Assert.Equal(["d", "e", "f"], world.Requests[2].Inputs);
        // One that is too large goes alone.
        calls.Add(world.Send("g", "h", "i", "j"));
        Assert.Equal(["g", "h", "i", "j"], world.Requests[3].Inputs);
        foreach (var request in world.Open) request.Succeed();
        foreach (var call in calls) await call.AssertVectorsAsync();
    }

    [Fact]
    public async Task Send_LongTexts_AreNotSentTogether()
    {
        using var world = new CoalescingWorld();
        var text = new string('x', (EmbeddingBatches.MaxBatchBytes / 2) + 1);
        SentCall[] calls = [world.Send("a"), world.Send("1" + text), world.Send("2" + text)];
        world.Time.Advance(Delay);
        Assert.Equal([1, 1, 1], world.Requests.Select(request => request.Inputs.Length));
        foreach (var request in world.Open) request.Succeed();
        foreach (var call in calls) await call.AssertVectorsAsync();
    }

    [Fact]
    public async Task Send_OtherEndUser_IsNotSentTogetherButShared()
    {
        using var world = new CoalescingWorld();
        SentCall[] calls = [world.Send("one", ["a"]), world.Send("one", ["b"]), world.Send("two", ["c", "a"]), world.Send("two", ["d"])];
        world.Time.Advance(Delay);
        Assert.Equal([("one", "a"), ("two", "c"), ("one", "b"), ("two", "d")], world.Requests.Select(request => (request.User, string.Concat(request.Inputs))));
        foreach (var request in world.Open) request.Succeed();
        foreach (var call in calls) await call.AssertVectorsAsync();
    }

    [Fact]
    public async Task Send_NoDelay_SendsEachCallAlone()
    {
        using var world = new CoalescingWorld(new CoalescingConfig { BatchDelay = TimeSpan.Zero });
        SentCall[] calls = [world.Send("a"), world.Send("b"), world.Send("a", "c")];
        Assert.Equal(["a", "b", "c"], world.Requests.Select(request => string.Concat(request.Inputs)));
        foreach (var request in world.Open) request.Succeed();
        foreach (var call in calls) await call.AssertVectorsAsync();
    }

    [Fact]
    public async Task Send_WaitingCallLeaves_IsNotSent()
    {
        using var world = new CoalescingWorld();
        var first = world.Send("a");
        var second = world.Send("b");
        var third = world.Send("c");
        await second.Leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second.Reply);
        world.Time.Advance(Delay);
        Assert.Equal(["c"], world.Requests[1].Inputs);
        foreach (var request in world.Open) request.Succeed();
        await first.AssertVectorsAsync();
        await third.AssertVectorsAsync();
    }

    [Fact]
    public async Task Send_ProviderTakesFewer_DividesUsageExactly()
    {
        using var world = new CoalescingWorld(maxInputs: 2);
        var call = world.Send("a", "bb", "ccc", "dddd", "eeeee");
        for (var i = 0; i < 3; i++)
        {
            await WaitAsync(() => world.Open.Length == 1);
            world.Open[0].Succeed();
        }
        await call.AssertVectorsAsync();
        Assert.Equal([2, 2, 1], world.Requests.Select(request => request.Inputs.Length));
        Assert.Equal(CoalescingWorld.TokensOf(call.Inputs), world.PaidBy([call]));
    }

    [Fact]
    public async Task Send_SameInputTwice_IsComputedOnce()
    {
        using var world = new CoalescingWorld();
        var call = world.Send("a", "b", "a");
        Assert.Equal(["a", "b"], Assert.Single(world.Requests).Inputs);
        world.Requests[0].Succeed();
        await call.AssertVectorsAsync();
        Assert.False(call.Call.IsCoalesced);
    }

    /// <summary>
    /// Random calls, departures, failures and ends: all that stay get their vectors or an error, nothing is paid twice, and nothing is left.
    /// </summary>
    [Fact]
    public async Task Calls_RandomDeparturesAndFailures_GetTheirVectorsAndPayOnce()
    {
        for (var seed = 0; seed < 300; seed++)
        {
            var random = new Random(seed);
            var leaves = random.Next(2) == 0;
            var fails = random.Next(3) == 0;
            using var world = new CoalescingWorld(new CoalescingConfig { BatchInputs = random.Next(1, 8) }, random.Next(2) == 0 ? random.Next(1, 5) : null);
            var calls = new List<SentCall>();
            var failed = new List<HeldRequest>();
            for (var step = 0; step < 40; step++)
            {
                switch (random.Next(6))
                {
                    case <= 2:
                        string[] inputs = [.. Enumerable.Range(0, random.Next(1, 5)).Select(_ => $"text {random.Next(10)}")];
                        calls.Add(world.Send(random.Next(3) == 0 ? "user" : null, inputs));
                        break;
                    case 3:
                        world.Time.Advance(Delay);
                        break;
                    case 4 when world.Open is { Length: > 0 } open:
                        var request = open[random.Next(open.Length)];
                        if (fails && random.Next(3) == 0)
                        {
                            failed.Add(request);
                            request.Fail(random.Next(2) == 0 ? ErrorCode.ProviderError : ErrorCode.ProviderRejected);
                        }
                        else
                        {
                            request.Succeed();
                        }
                        break;
                    case 5 when leaves && calls.Count > 0:
                        await calls[random.Next(calls.Count)].Leave.CancelAsync();
                        break;
                }
            }
            while (!calls.TrueForAll(call => call.Reply.IsCompleted))
            {
                world.Time.Advance(Delay);
                foreach (var request in world.Open) request.Succeed();
                await Task.Yield();
            }
            foreach (var call in calls)
            {
                if (call.Reply.IsCanceled) Assert.True(call.Leave.IsCancellationRequested);
                else if (await call.Reply is GatewayReply.Refused) Assert.True(fails);
                else await call.AssertVectorsAsync();
            }
            await WaitAsync(() => world.Flights.Count == 0);
            var computed = CoalescingWorld.TokensOf(world.Requests.Except(failed).SelectMany(request => request.Inputs));
            var paid = world.PaidBy(calls);
            Assert.True(paid <= computed, $"Seed {seed}: {paid} of {computed} tokens were paid.");
            if (!leaves && !fails) Assert.Equal((seed, computed), (seed, paid));
        }
    }

    // What follows a request runs on another thread.
    private static async Task WaitAsync(Func<bool> condition)
    {
        while (!condition()) await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, TestContext.Current.CancellationToken);
    }
}
