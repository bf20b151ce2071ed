using CsCheck;
using Fairlead.Scheduling;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Scheduling;

public sealed class DeploymentSlotsTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly VirtualQueue _queue = new();

    private DeploymentSlots Slots => _queue.Slots;

    [Fact]
    public void TryTake_AtLimit_FailsUntilSlotIsReturned()
    {
        var (two, other) = (VirtualQueue.At("p/m", 2), VirtualQueue.At("p/other", 1));
        Assert.True(Slots.TryTake(two));
        Assert.True(Slots.TryTake(two));
        Assert.False(Slots.TryTake(two));
        Assert.True(Slots.TryTake(other));
        Slots.GiveBack(two);
        Assert.True(Slots.TryTake(two));
    }

    [Fact]
    public void TryTake_WithoutLimit_AlwaysSucceeds()
    {
        var free = VirtualQueue.At("p/m", null);
        for (var i = 0; i < 1000; i++) Assert.True(Slots.TryTake(free));
        // They are counted, so a limit that is added by a reload holds at once.
        Slots.SetLimits([VirtualQueue.At("p/m", 1000)]);
        Assert.False(Slots.TryTake(free));
        Slots.SetLimits([VirtualQueue.At("p/m", 1001)]);
        Assert.True(Slots.TryTake(free));
    }

    [Fact]
    public void TryTake_FreeSlot_AllocatesNothing()
    {
        var one = VirtualQueue.At("p/m", 1);
        for (var i = 0; i < 100; i++) TakeAndReturn();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++) TakeAndReturn();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void TakeAndReturn()
        {
            Slots.TryTake(one);
            Slots.GiveBack(one, Second);
        }
    }

    [Fact]
    public void GiveBack_CallsWait_AreServedInOrderOfArrival()
    {
        var one = VirtualQueue.At("p/m", 1);
        Assert.True(Slots.TryTake(one));
        var (first, second) = (Enter("a", one), Enter("a", one));
        Slots.GiveBack(one);
        Assert.Equal((QueueState.Granted, QueueState.Waiting), (first.State, second.State));
        Assert.False(Slots.TryTake(one));
        Slots.GiveBack(one);
        Assert.Equal(QueueState.Granted, second.State);
        Assert.Empty(Slots.Lengths());
    }

    [Fact]
    public void Leave_OnlyWaitingCall_FreesSlotForOthers()
    {
        var one = VirtualQueue.At("p/m", 1);
        Assert.True(Slots.TryTake(one));
        var call = Enter("a", one);
        Assert.True(Slots.Leave(call));
        Assert.False(Slots.Leave(call));
        Slots.GiveBack(one);
        Assert.Equal(QueueState.Left, call.State);
        Assert.True(Slots.TryTake(one));
    }

    [Fact]
    public void Enter_SlotFreeAtAnyDeployment_IsGrantedAtOnceAtThePreferred()
    {
        var (full, free, alsoFree) = (VirtualQueue.At("p/1", 1), VirtualQueue.At("p/2", 1), VirtualQueue.At("p/3", 1));
        Assert.True(Slots.TryTake(full));
        var call = Enter("a", full, alsoFree, free);
        Assert.Equal((QueueState.Granted, "p/3"), (call.State, call.Deployment));
    }

    [Fact]
    public void GiveBack_DeploymentOfTwoModels_ServesBestWaiterOfAnyModel()
    {
        var (shared, own) = (VirtualQueue.At("p/shared", 1), VirtualQueue.At("p/own", 1));
        Assert.True(Slots.TryTake(shared));
        Assert.True(Slots.TryTake(own));
        var standard = _queue.Send(_queue.NewCall("a", [own, shared], Second, model: "one"));
        var realtime = _queue.Send(_queue.NewCall("b", [shared], Second, rank: 0, model: "two"));
        Slots.GiveBack(own);
        Assert.Equal((QueueState.Granted, "p/own", QueueState.Waiting), (standard.State, standard.Deployment, realtime.State));

        var again = _queue.Send(_queue.NewCall("a", [own, shared], Second, model: "one"));
        Slots.GiveBack(shared);
        Assert.Equal((QueueState.Waiting, QueueState.Granted), (again.State, realtime.State));
    }

    [Fact]
    public void Enter_CallThatHadASlot_GoesToTheHead()
    {
        var one = VirtualQueue.At("p/m", 1);
        Assert.True(Slots.TryTake(one));
        var realtime = _queue.Send(_queue.NewCall("a", [one], Second, rank: 0));
        var failedOver = _queue.Send(_queue.NewCall("b", [one], Second, rank: 2, isReturning: true));
        Slots.GiveBack(one);
        Assert.Equal((QueueState.Granted, QueueState.Waiting), (failedOver.State, realtime.State));
    }

    [Fact]
    public void SetLimits_Raised_ServesThoseThatHaveRoomNow()
    {
        var one = VirtualQueue.At("p/m", 1);
        Assert.True(Slots.TryTake(one));
        var calls = Enumerable.Range(0, 4).Select(_ => Enter("a", one)).ToList();
        Slots.SetLimits([VirtualQueue.At("p/m", 3)]);
        Assert.Equal([true, true, false, false], calls.Select(call => call.State == QueueState.Granted));
        Slots.SetLimits([VirtualQueue.At("p/m", null)]);
        Assert.All(calls, call => Assert.Equal(QueueState.Granted, call.State));
    }

    /// <summary>A call that started before a reload has the deployments of the old catalogue.</summary>
    [Fact]
    public void SetLimits_CallWithAnOlderCatalogue_CannotBringBackItsLimit()
    {
        var (before, now) = (VirtualQueue.At("p/m", 5), VirtualQueue.At("p/m", 2));
        Slots.SetLimits([now]);
        Assert.True(Slots.TryTake(before));
        Assert.True(Slots.TryTake(before));
        Assert.False(Slots.TryTake(before));
        // The lane that it makes has the new limit too.
        var (old, current) = (Enter("a", before), Enter("b", now));
        Assert.Equal((QueueState.Waiting, QueueState.Waiting), (old.State, current.State));
        Slots.GiveBack(before);
        Assert.Equal((QueueState.Granted, QueueState.Waiting, 2), (old.State, current.State, Slots.TakenAt("p/m")));

        // Also if the old one had no limit.
        Assert.False(Slots.TryTake(VirtualQueue.At("p/m", null)));
    }

    /// <summary>An attempt that started while there was no limit counts when there is one.</summary>
    [Fact]
    public void SetLimits_DeploymentHadNone_CountsAttemptsThatRun()
    {
        var free = VirtualQueue.At("p/m", null);
        Slots.SetLimits([free]);
        for (var i = 0; i < 3; i++) Assert.True(Slots.TryTake(free));
        Slots.SetLimits([VirtualQueue.At("p/m", 2)]);
        var waiting = Enter("a", free);
        Slots.GiveBack(free);
        Assert.Equal(QueueState.Waiting, waiting.State);
        Slots.GiveBack(free);
        Assert.Equal((QueueState.Granted, 2), (waiting.State, Slots.TakenAt("p/m")));
    }

    /// <summary>Calls of a model that states a lower limit must not wait until the others leave the deployment.</summary>
    [Fact]
    public void SetLimits_ModelsStateDifferentLimits_LowestAppliesToAllAndNoneStarves()
    {
        var (high, low) = (VirtualQueue.At("p/m", 4), VirtualQueue.At("p/m", 2));
        Slots.SetLimits([high, low, VirtualQueue.At("p/m", null)]);
        for (var i = 0; i < 40; i++) Loud();
        var quiet = _queue.Send(_queue.NewCall("quiet", [low], Second, model: "low"));
        Assert.Equal(2, Slots.TakenAt("p/m"));
        _queue.RunUntil(Second * 3);
        Assert.NotNull(quiet.StartedAt);

        void Loud() => _queue.Send(_queue.NewCall("loud", [high], Second, model: "high"), Loud);
    }

    [Fact]
    public void SetLimits_DeploymentNoLongerListed_KeepsItsLimit()
    {
        var one = VirtualQueue.At("p/m", 1);
        Slots.SetLimits([one]);
        Assert.True(Slots.TryTake(one));
        Slots.SetLimits([VirtualQueue.At("p/other", 5)]);
        Assert.False(Slots.TryTake(one));
    }

    /// <summary>What a call that goes to the head uses is charged: its organization waits for it in its next turn.</summary>
    [Fact]
    public void Enter_CallThatHadASlot_IsChargedToItsOrganization()
    {
        var one = VirtualQueue.At("p/m", 1);
        Assert.True(Slots.TryTake(one));
        var returning = _queue.NewCall("a", [one], Second, rank: 1, input: 1000, isReturning: true);
        Slots.Enter(returning, "m", _queue.Settings, [one]);
        var (first, second) = (_queue.NewCall("a", [one], Second), _queue.NewCall("b", [one], Second));
        Slots.Enter(first, "m", _queue.Settings, [one]);
        Slots.Enter(second, "m", _queue.Settings, [one]);
        Slots.GiveBack(one);
        Assert.Equal(QueueState.Granted, returning.State);
        Slots.Settle(returning, 1000, 500);
        Slots.GiveBack(one);
        Assert.Equal((QueueState.Waiting, QueueState.Granted), (first.State, second.State));
    }

    /// <summary>
    /// Whatever arrives, ends, leaves and changes: no deployment exceeds its limit, no slot is lost or granted twice, and none is free while
    /// a call waits that may use it. Calls of an organization and class are served in the order of arrival.
    /// </summary>
    [Fact]
    public void DeploymentSlots_RandomArrivalsAndEnds_KeepTheirInvariants() =>
        Gen.Select(Gen.Int[1, 3].Array[1, 4], Gen.Int[0, 1_000_000].Array[1, 120]).Sample((limits, steps) =>
        {
            var slots = new DeploymentSlots(new FakeTimeProvider());
            var deployments = limits.Select((limit, i) => VirtualQueue.At($"d{i}", limit)).ToArray();
            var taken = new int[limits.Length];
            var running = new List<int>();
            var waiting = new List<(QueuedCall Call, int Mask)>();
            var lastGranted = new Dictionary<(string, int, int), long>();
            foreach (var step in steps)
            {
                var choice = step / 100;
                switch (step % 4)
                {
                    case 0 or 1:
                        var mask = 1 + (choice % ((1 << limits.Length) - 1));
                        var mine = Enumerable.Range(0, limits.Length).Where(i => (mask & (1 << i)) != 0).ToArray();
                        var direct = Array.FindIndex(mine, i => slots.TryTake(deployments[i]));
                        if (direct >= 0)
                        {
                            taken[mine[direct]]++;
                            running.Add(mine[direct]);
                            break;
                        }
                        var call = new QueuedCall { Organization = $"o{choice % 3}", Class = choice % 7 % 3, InputTokens = choice % 50 };
                        waiting.Add((call, mask));
                        slots.Enter(call, $"m{choice % 2}", new SchedulingConfig(), Array.ConvertAll(mine, i => deployments[i]));
                        break;
                    case 2 when running.Count > 0:
                        var at = running[choice % running.Count];
                        running.Remove(at);
                        taken[at]--;
                        slots.GiveBack(deployments[at], TimeSpan.FromSeconds(1));
                        break;
                    case 3 when waiting.Count > 0:
                        var leaving = waiting[choice % waiting.Count];
                        if (!slots.Leave(leaving.Call)) return false;
                        waiting.Remove(leaving);
                        break;
                }
                foreach (var (call, mask) in waiting.Where(entry => entry.Call.State == QueueState.Granted).OrderBy(entry => entry.Call.Sequence).ToList())
                {
                    var at = int.Parse(call.Deployment![1..], System.Globalization.CultureInfo.InvariantCulture);
                    if ((mask & (1 << at)) == 0) return false;
                    taken[at]++;
                    running.Add(at);
                    waiting.Remove((call, mask));
                    // In one lane: the same model, deployments, organization and class.
                    var line = (call.Organization + call.Lane.Model.Model, call.Class, mask);
                    if (lastGranted.TryGetValue(line, out var last) && last > call.Sequence) return false;
                    lastGranted[line] = call.Sequence;
                }
                for (var i = 0; i < limits.Length; i++)
                {
                    if (taken[i] > limits[i] || slots.TakenAt($"d{i}") != taken[i]) return false;
                    if (taken[i] < limits[i] && waiting.Exists(entry => (entry.Mask & (1 << i)) != 0)) return false;
                }
                if (slots.Lengths().Sum(length => length.Waiting) != waiting.Count) return false;
            }
            foreach (var (call, _) in waiting) slots.Leave(call);
            foreach (var at in running) slots.GiveBack(deployments[at]);
            if (slots.Lengths().Count > 0) return false;
            return limits.Select((limit, i) => Enumerable.Range(0, limit).All(_ => slots.TryTake(deployments[i])) && !slots.TryTake(deployments[i])).All(free => free);
        }, iter: 300);

    /// <summary>The same with threads: a slot that is granted while its call leaves goes to the next.</summary>
    [Fact]
    public async Task DeploymentSlots_RacesAndCancellations_AreNeverExceededOrLost() =>
        await Gen.Select(Gen.Int[1, 4], Gen.Bool.Array[2, 24]).SampleAsync(async input =>
        {
            var (limit, cancels) = input;
            var slots = new DeploymentSlots(TimeProvider.System);
            var deployment = VirtualQueue.At("p/m", limit);
            var inside = 0;
            var exceeded = false;
            await Task.WhenAll(cancels.Select((cancel, i) => Task.Run(async () =>
            {
                if (!slots.TryTake(deployment))
                {
                    var call = new AwaitedCall { Organization = $"o{i % 3}", Class = i % 3 };
                    slots.Enter(call, "m", new SchedulingConfig(), [deployment]);
                    if (cancel)
                    {
                        await Task.Yield();
                        if (slots.Leave(call)) return;
                    }
                    await call.Ending.Task;
                    if (call.State != QueueState.Granted) return;
                }
                if (Interlocked.Increment(ref inside) > limit) exceeded = true;
                await Task.Yield();
                Interlocked.Decrement(ref inside);
                slots.GiveBack(deployment, TimeSpan.FromMilliseconds(1));
            })));
            for (var i = 0; i < limit; i++) exceeded |= !slots.TryTake(deployment);
            return !exceeded && !slots.TryTake(deployment) && slots.Lengths().Count == 0;
        }, iter: 200, threads: 1);

    private SimulatedCall Enter(string organization, params Fairlead.Catalogue.Deployment[] deployments)
    {
        var call = _queue.NewCall(organization, deployments, Second);
        Slots.Enter(call, call.Model, _queue.Settings, deployments);
        return call;
    }

    private sealed class AwaitedCall : QueuedCall
    {
        public TaskCompletionSource Ending { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override void Ended() => Ending.TrySetResult();
    }
}
