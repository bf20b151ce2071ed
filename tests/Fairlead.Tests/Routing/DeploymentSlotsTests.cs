using CsCheck;
using Fairlead.Catalogue;
using Fairlead.Routing;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Routing;

public sealed class DeploymentSlotsTests
{
    private readonly FakeTimeProvider _time = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static Deployment At(int? most, string name = "p/m") => new() { Name = name, ProviderName = "p", UpstreamModel = "m", MaxConcurrency = most };

    [Fact]
    public void TryTake_AtLimit_FailsUntilSlotIsReturned()
    {
        var places = new DeploymentSlots(_time);
        Assert.True(places.TryTake(At(2)));
        Assert.True(places.TryTake(At(2)));
        Assert.False(places.TryTake(At(2)));
        Assert.True(places.TryTake(At(1, "p/other")));
        places.GiveBack(At(2));
        Assert.True(places.TryTake(At(2)));
    }

    [Fact]
    public void TryTake_WithoutLimit_AlwaysSucceeds()
    {
        var places = new DeploymentSlots(_time);
        for (var i = 0; i < 1000; i++) Assert.True(places.TryTake(At(null)));
        places.GiveBack(At(null));
        Assert.True(places.TryTake(At(1)));
    }

    [Fact]
    public async Task TakeAsync_Waiters_AreServedInFifoOrder()
    {
        var places = new DeploymentSlots(_time);
        Assert.True(places.TryTake(At(1)));
        var first = places.TakeAsync(At(1), Timeout.InfiniteTimeSpan, Token).AsTask();
        var second = places.TakeAsync(At(1), Timeout.InfiniteTimeSpan, Token).AsTask();
        places.GiveBack(At(1));
        Assert.True(await first);
        Assert.False(second.IsCompleted);
        Assert.False(places.TryTake(At(1)));
        places.GiveBack(At(1));
        Assert.True(await second);
    }

    [Fact]
    public async Task TakeAsync_WaitTimesOut_LeavesQueue()
    {
        var places = new DeploymentSlots(_time);
        Assert.True(places.TryTake(At(1)));
        var waiting = places.TakeAsync(At(1), TimeSpan.FromSeconds(5), Token).AsTask();
        _time.Advance(TimeSpan.FromSeconds(5));
        Assert.False(await waiting);
        places.GiveBack(At(1));
        Assert.True(places.TryTake(At(1)));
    }

    [Fact]
    public async Task TakeAsync_LimitRaisedByReload_AdmitsMore()
    {
        var places = new DeploymentSlots(_time);
        Assert.True(places.TryTake(At(1)));
        Assert.True(await places.TakeAsync(At(2), Timeout.InfiniteTimeSpan, Token));
        Assert.False(places.TryTake(At(2)));
    }

    /// <summary>Whatever comes, waits, leaves and gives back: never more at once than the bound, and nothing is lost at the end.</summary>
    [Fact]
    public async Task DeploymentSlots_RacesAndCancellations_AreNeverExceededOrLost() =>
        await Gen.Select(Gen.Int[1, 4], Gen.Bool.Array[2, 24]).SampleAsync(async input =>
        {
            var (most, cancels) = input;
            var places = new DeploymentSlots(TimeProvider.System);
            var deployment = At(most);
            var inside = 0;
            var exceeded = false;
            await Task.WhenAll(cancels.Select(cancel => Task.Run(async () =>
            {
                using var stop = new CancellationTokenSource();
                if (cancel) stop.CancelAfter(TimeSpan.FromMicroseconds(50));
                try
                {
                    if (!await places.TakeAsync(deployment, cancel ? TimeSpan.FromMilliseconds(1) : Timeout.InfiniteTimeSpan, stop.Token)) return;
                }
                catch (OperationCanceledException)
                {
                    return;
                }
                if (Interlocked.Increment(ref inside) > most) exceeded = true;
                await Task.Yield();
                Interlocked.Decrement(ref inside);
                places.GiveBack(deployment);
            })));
            for (var i = 0; i < most; i++) exceeded |= !places.TryTake(deployment);
            return !exceeded && !places.TryTake(deployment);
        }, iter: 200, threads: 1);
}
