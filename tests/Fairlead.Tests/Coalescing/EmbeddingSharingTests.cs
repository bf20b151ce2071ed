using Fairlead.Access;
using Fairlead.Coalescing;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Routing;

namespace Fairlead.Tests.Coalescing;

/// <summary>Which calls share, who pays, and what a failure of a shared request means for each.</summary>
public sealed class EmbeddingSharingTests
{
    private static readonly TimeSpan Delay = new CoalescingConfig().BatchDelay;

    [Fact]
    public async Task Send_CallOfHigherClass_DoesNotWaitForLowerClass()
    {
        using var world = new CoalescingWorld(new CoalescingConfig { BatchDelay = TimeSpan.Zero });
        var bulk = world.Send(null, CallClasses.Bulk, ["a"]);
        var standard = world.Send(null, CallClasses.Standard, ["a"]);
        var realtime = world.Send(null, CallClasses.Realtime, ["a"]);
        // The other way round nothing is lost.
        var late = world.Send(null, CallClasses.Bulk, ["a"]);
        Assert.Equal(["a", "a", "a"], world.Requests.Select(request => string.Concat(request.Inputs)));
        world.Requests[2].Succeed();
        await realtime.AssertVectorsAsync();
        await late.AssertVectorsAsync();
        Assert.False(bulk.Reply.IsCompleted);
        Assert.Equal([false, true], new[] { realtime, late }.Select(call => call.Call.IsCoalesced));
        foreach (var request in world.Open) request.Succeed();
        await bulk.AssertVectorsAsync();
        await standard.AssertVectorsAsync();
        Assert.Equal(0, world.Flights.Count);
    }

    [Theory]
    [InlineData(ErrorCode.RateLimitExceeded)]
    [InlineData(ErrorCode.QueueFull)]
    [InlineData(ErrorCode.ProviderUnavailable)]
    public async Task Send_OwnerIsRefusedWithoutAttempt_FollowersComputeThemselves(ErrorCode code)
    {
        using var world = new CoalescingWorld();
        var slot = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        world.Queue = call => call.RequestId == "req_1" ? slot.Task : Task.CompletedTask;
        world.Refusal = call => call.RequestId == "req_1" ? new GatewayError(code, "no") : null;
        var owner = world.Send("a");
        var follower = world.Send("a");
        Assert.Equal(1, world.Flights.Followers);
        slot.SetResult();
        Assert.IsType<GatewayReply.Refused>(await owner.Reply);
        await WaitAsync(() => world.Open.Length == 1);
        world.Requests[0].Succeed();
        await follower.AssertVectorsAsync();
        Assert.Equal(CoalescingWorld.TokensOf(["a"]), world.PaidBy([follower]));
    }

    [Fact]
    public async Task Send_ModelsDiffer_EachResponseIsOfOneModel()
    {
        using var world = new CoalescingWorld(new CoalescingConfig { BatchDelay = TimeSpan.Zero }, hasDifferentModels: true);
        var first = world.Send("a");
        var second = world.Send("a", "b");
        Assert.Equal(["a", "ab"], world.Requests.Select(request => string.Concat(request.Inputs)));
        foreach (var request in world.Open) request.Succeed();
        await first.AssertVectorsAsync();
        await second.AssertVectorsAsync();
        Assert.False(second.Call.IsCoalesced);
    }

    [Fact]
    public async Task Send_KeyOfProvider_IsThatOfScheduling()
    {
        using var world = new CoalescingWorld();
        var call = world.Send("a");
        world.Requests[0].HasOtherKey = true;
        world.Requests[0].Status = 401;
        world.Requests[0].Fail(ErrorCode.ProviderUnavailable);
        Assert.IsType<GatewayReply.Refused>(await call.Reply);
        var attempt = Assert.Single(call.Call.Attempts);
        Assert.Equal((77, true), (attempt.KeyId, attempt.HasOtherKey));
    }

    [Fact]
    public async Task Send_SharedRequestFails_IsReportedAndRetriedOnce()
    {
        using var world = new CoalescingWorld();
        var first = world.Send("a");
        SentCall[] calls = [.. Enumerable.Range(0, 30).Select(i => world.Send($"text {i}"))];
        world.Time.Advance(Delay);
        Assert.Equal(30, world.Requests[1].Inputs.Length);
        world.Requests[1].Status = 503;
        world.Requests[1].Fail(ErrorCode.ProviderUnavailable);
        foreach (var call in calls) Assert.IsType<GatewayReply.Refused>(await call.Reply);
        Attempt[] attempts = [.. calls.Select(call => call.Call.Attempts.Single())];
        Assert.Equal(HealthVerdict.Failed, HealthVerdicts.Of(calls[0].Call, attempts[0], attempts[0].Error!));
        Assert.All(calls[1..], call => Assert.Equal(HealthVerdict.None, HealthVerdicts.Of(call.Call, call.Call.Attempts[0], call.Call.Attempts[0].Error!)));
        Assert.Equal(1, attempts.Count(attempt => AttemptSamples.Of(calls[0].Call, attempt, world.Time).IsServerError));
        // Sent together again, they need one retry of the budget: the floor has room for nine more.
        var budget = new RetryBudget(world.Time);
        Assert.All(attempts, attempt => Assert.True(budget.TryRetry(attempt, 0)));
        for (var i = 1; i < RetryBudget.Floor; i++) Assert.True(budget.TryRetry(0));
        Assert.False(budget.TryRetry(0));
        world.Requests[0].Succeed();
        await first.AssertVectorsAsync();
    }

    [Theory]
    [InlineData(500, false)]
    [InlineData(null, false)]
    [InlineData(429, true)]
    [InlineData(503, true)]
    public async Task Send_SharedRequestFails_IsSentTogetherAgainOnlyIfInputsAreNotTheCause(int? status, bool together)
    {
        using var world = new CoalescingWorld { Retries = 1 };
        var first = world.Send("a");
        SentCall[] calls = [world.Send("b"), world.Send("c"), world.Send("d")];
        world.Time.Advance(Delay);
        world.Requests[1].Status = status;
        world.Requests[1].Fail(ErrorCode.ProviderError);
        if (together)
        {
            // They come back one by one, and each waits for the others.
            await WaitAsync(() => calls.All(call => call.Call.Attempts.Count == 2) && world.Flights.Count == 4);
            while (world.Requests.Count < 3) world.Time.Advance(Delay);
            Assert.True(world.Requests.Count < 5);
        }
        else
        {
            await WaitAsync(() => world.Requests.Count == 5);
            Assert.All(world.Requests.Skip(2), request => Assert.Single(request.Inputs));
            // One of them fails again: that is no failure of the others.
            world.Requests[2].Fail(ErrorCode.ProviderError);
        }
        while (!calls.All(call => call.Reply.IsCompleted))
        {
            world.Time.Advance(Delay);
            foreach (var request in world.Open) request.Succeed();
            await Task.Yield();
        }
        var replies = await Task.WhenAll(calls.Select(call => call.Reply));
        Assert.Equal(together ? 0 : 1, replies.Count(reply => reply is GatewayReply.Refused));
        await first.AssertVectorsAsync();
    }

    [Theory]
    [InlineData(429)]
    [InlineData(503)]
    public async Task Send_NothingInProgress_SharedRequestIsRepeatedOnceForAll(int status)
    {
        using var world = new CoalescingWorld { Retries = 1 };
        var first = world.Send("a");
        SentCall[] calls = [.. Enumerable.Range(0, 30).Select(i => world.Send($"text {i}"))];
        world.Time.Advance(Delay);
        world.Requests[0].Succeed();
        await first.AssertVectorsAsync();
        world.Requests[1].Status = status;
        world.Requests[1].Fail(ErrorCode.ProviderUnavailable);
        // Although nothing else is in progress, none of them is sent alone.
        await WaitAsync(() => world.Batches.Waiting == 30);
        Assert.Equal(2, world.Requests.Count);
        world.Time.Advance(EmbeddingBatches.RepeatDelay);
        Assert.Equal(30, Assert.Single(world.Open).Inputs.Length);
        world.Open[0].Succeed();
        foreach (var call in calls) await call.AssertVectorsAsync();
        Assert.Equal(3, world.Requests.Count);
    }

    [Fact]
    public void SharedRequest_CallsWithDifferentJitter_WaitEquallyLong()
    {
        var request = new SharedRequest();
        Assert.Equal(TimeSpan.FromMilliseconds(150), request.DelayOf(TimeSpan.FromMilliseconds(150)));
        Assert.Equal(TimeSpan.FromMilliseconds(150), request.DelayOf(TimeSpan.FromMilliseconds(190)));
    }

    [Fact]
    public async Task Send_ProviderIsAtItsLimit_FollowersGetSameErrorWithoutRequest()
    {
        using var world = new CoalescingWorld();
        var owner = world.Send("a", "b");
        SentCall[] followers = [.. Enumerable.Range(0, 20).Select(_ => world.Send("a", "b"))];
        world.Requests[0].Status = 429;
        world.Requests[0].Fail(ErrorCode.RateLimitExceeded);
        foreach (var call in followers.Append(owner))
            Assert.Equal(ErrorCode.RateLimitExceeded, Assert.IsType<GatewayReply.Refused>(await call.Reply).Error.Code);
        Assert.Single(world.Requests);
    }

    [Theory]
    [InlineData(ErrorCode.RateLimitExceeded)]
    [InlineData(ErrorCode.QueueFull)]
    [InlineData(ErrorCode.BudgetExceeded)]
    public async Task Send_OwnerIsRefused_OneFollowerComputesForAll(ErrorCode code)
    {
        using var world = new CoalescingWorld();
        var slot = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        world.Queue = call => call.RequestId == "req_1" ? slot.Task : Task.CompletedTask;
        world.Refusal = call => call.RequestId == "req_1" ? new GatewayError(code, "no") : null;
        var owner = world.Send("a", "b");
        SentCall[] followers = [.. Enumerable.Range(0, 20).Select(_ => world.Send("a", "b"))];
        slot.SetResult();
        Assert.IsType<GatewayReply.Refused>(await owner.Reply);
        await WaitAsync(() => world.Open.Length == 1 && world.Flights.Followers == 38);
        world.Open[0].Succeed();
        foreach (var call in followers) await call.AssertVectorsAsync();
        Assert.Single(world.Requests);
        Assert.Equal(CoalescingWorld.TokensOf(["a", "b"]), world.PaidBy(followers));
    }

    [Fact]
    public async Task Leave_PartWaitsForOthers_CostsNothing()
    {
        using var world = new CoalescingWorld();
        var first = world.Send("a");
        var leaving = world.Send("a", "of its own");
        Assert.Equal(1, world.Batches.Waiting);
        await leaving.Leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving.Reply);
        world.Time.Advance(Delay);
        world.Requests[0].Succeed();
        await first.AssertVectorsAsync();
        Assert.Single(world.Requests);
        world.PaidBy([leaving]);
        Assert.Equal(0, leaving.Call.Attempts.Sum(attempt => attempt.Usage.InputTokens));
    }

    [Fact]
    public async Task Send_OwnerLeftRest_NextRoundNeedsNoFurtherReservation()
    {
        using var world = new CoalescingWorld(new CoalescingConfig { BatchDelay = TimeSpan.Zero });
        var owner = world.Send("a");
        var follower = world.Send("a", "b");
        world.Requests[1].Succeed();
        await owner.Leave.CancelAsync();
        world.Requests[0].Fail(ErrorCode.ProviderError);
        await WaitAsync(() => world.Open.Length == 1);
        // The first attempt of a round follows those that the reservation covers.
        Assert.Equal(follower.Call.Attempts.Count - 1, follower.Call.CoveredAttempts);
        world.Open[0].Succeed();
        await follower.AssertVectorsAsync();
    }

    [Fact]
    public async Task Leave_PayerLeaves_NextHasRecordBeforePayerEnds()
    {
        using var world = new CoalescingWorld();
        var owner = world.Send("a text that all share");
        var follower = world.Send("a text that all share");
        await owner.Leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => owner.Reply);
        // Whatever ends the process now, the follower is charged an estimate.
        var record = world.Spool.Records[^1];
        Assert.Equal(("start", "gen_2", 5L), (record.Kind, record.GenerationId, record.Share));
        world.Requests[0].Succeed();
        await follower.AssertVectorsAsync();
        var attempt = Assert.Single(follower.Call.Attempts);
        Assert.Equal((record.AttemptId, "complete"), (attempt.Id, attempt.Outcome));
        Assert.Equal(CoalescingWorld.TokensOf(follower.Inputs), world.PaidBy([owner, follower]));
        Assert.Equal(2, world.Spool.Records.Count);
    }

    [Fact]
    public async Task Leave_NextHasAttemptInProgress_RecordsBoth()
    {
        using var world = new CoalescingWorld(new CoalescingConfig { BatchDelay = TimeSpan.Zero });
        var owner = world.Send("a text that all share");
        var follower = world.Send("a text that all share", "of its own");
        await owner.Leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => owner.Reply);
        var own = follower.Call.Attempts[0].Id;
        Assert.Equal([("start", own, null), ("progress", own, 3L), ("progress", own, 8L)],
            world.Spool.Records.Where(record => record.GenerationId == "gen_2").Select(record => (record.Kind, record.AttemptId, record.Share)));
        foreach (var request in world.Open) request.Succeed();
        await follower.AssertVectorsAsync();
        Assert.Equal(CoalescingWorld.TokensOf(follower.Inputs), world.PaidBy([owner, follower]));
    }

    [Fact]
    public async Task Leave_OneAfterTheOther_LastPaysOnce()
    {
        using var world = new CoalescingWorld();
        SentCall[] calls = [.. Enumerable.Range(0, 20).Select(_ => world.Send("a text that all share"))];
        for (var i = 0; i < 19; i++)
        {
            await calls[i].Leave.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => calls[i].Reply);
        }
        world.Requests[0].Succeed();
        await calls[19].AssertVectorsAsync();
        Assert.Single(world.Requests);
        foreach (var call in calls) world.PaidBy([call]);
        Assert.Equal([.. Enumerable.Repeat(0L, 19), CoalescingWorld.TokensOf(calls[0].Inputs)],
            calls.Select(call => call.Call.Attempts.Sum(attempt => attempt.Usage.InputTokens)));
        Assert.Equal(0, world.Flights.Count);
    }

    [Fact]
    public async Task Leave_RequestFailsAfterPayerLeft_NextComputesAndPaysOnce()
    {
        using var world = new CoalescingWorld();
        var owner = world.Send("a");
        var follower = world.Send("a");
        await owner.Leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => owner.Reply);
        world.Requests[0].Fail(ErrorCode.ProviderError);
        await WaitAsync(() => world.Open.Length == 1);
        world.Open[0].Succeed();
        await follower.AssertVectorsAsync();
        foreach (var call in new[] { owner, follower }) world.PaidBy([call]);
        Assert.Equal(CoalescingWorld.TokensOf(["a"]), follower.Call.Attempts.Sum(attempt => attempt.Usage.InputTokens));
        Assert.Equal(0, owner.Call.Attempts.Sum(attempt => attempt.Usage.InputTokens));
    }

    [Fact]
    public async Task Leave_ManyCallsOfOneLargeRequest_TakesTimeInProportion()
    {
        using var world = new CoalescingWorld(new CoalescingConfig { BatchInputs = 2048 });
        var first = world.Send("first");
        string[] shared = [.. Enumerable.Range(0, 1000).Select(i => $"shared text {i}")];
        var owner = world.Send(shared);
        SentCall[] followers = [.. Enumerable.Range(0, 200).Select(_ => world.Send(shared))];
        world.Time.Advance(Delay);
        Assert.Equal(200_000, world.Flights.Followers);
        var since = TimeProvider.System.GetTimestamp();
        foreach (var follower in followers[..199])
        {
            await follower.Leave.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => follower.Reply);
        }
        // Quadratic work takes minutes: each of 199 calls would look for each of 1,000 inputs among 200 followers and 1,000 inputs.
        Assert.True(TimeProvider.System.GetElapsedTime(since) < TimeSpan.FromSeconds(20));
        foreach (var request in world.Open) request.Succeed();
        await first.AssertVectorsAsync();
        await owner.AssertVectorsAsync();
        await followers[199].AssertVectorsAsync();
    }

    // What follows a request runs on another thread.
    private static async Task WaitAsync(Func<bool> condition)
    {
        while (!condition()) await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, TestContext.Current.CancellationToken);
    }
}
