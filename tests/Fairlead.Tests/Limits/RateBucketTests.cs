using CsCheck;
using Fairlead.Limits;

namespace Fairlead.Tests.Limits;

public sealed class RateBucketTests
{
    private readonly LimitTime _time = new();

    private RateBucket Create(long perMinute, decimal burst = 1) => Create(_time, perMinute, burst);

    private static RateBucket Create(LimitTime time, long perMinute, decimal burst = 1)
    {
        var bucket = new RateBucket(new LimitIdentity(LimitScope.Key, "org_1", "key_1", null, null, LimitName.InputTokensPerMinute), new LimitClock(time));
        bucket.Apply(perMinute, burst, time.GetTimestamp());
        return bucket;
    }

    private bool TryTake(RateBucket bucket, long amount) => TryTake(_time, bucket, amount);

    private static bool TryTake(LimitTime time, RateBucket bucket, long amount)
    {
        if (!bucket.CanTake(amount, time.GetTimestamp())) return false;
        bucket.Take(amount);
        return true;
    }

    [Fact]
    public void Take_AnyArrivals_AdmitsAtMostCapacityPlusRate() =>
        Gen.Select(Gen.Int[1, 5000], Gen.Int[1, 40], Gen.Select(Gen.Int[0, 20_000], Gen.Int[0, 3000]).Array[1, 60]).Sample((perMinute, burst, arrivals) =>
        {
            var time = new LimitTime();
            var bucket = Create(time, perMinute, burst / 10m);
            var admitted = new List<(long At, long Amount)>();
            foreach (var (milliseconds, amount) in arrivals)
            {
                time.Advance(TimeSpan.FromMilliseconds(milliseconds));
                if (TryTake(time, bucket, amount)) admitted.Add((time.GetTimestamp(), amount));
            }
            for (var first = 0; first < admitted.Count; first++)
            {
                Int128 sum = 0;
                for (var last = first; last < admitted.Count; last++)
                {
                    sum += admitted[last].Amount;
                    var elapsed = admitted[last].At - admitted[first].At;
                    Assert.True(sum * TimeSpan.TicksPerMinute <= ((Int128)bucket.Capacity * TimeSpan.TicksPerMinute) + ((Int128)perMinute * elapsed));
                }
            }
        });

    [Fact]
    public void WaitFor_AnyState_IsExact() =>
        Gen.Select(Gen.Int[1, 5000], Gen.Int[1, 3000], Gen.Select(Gen.Int[0, 9_000], Gen.Int[0, 3000], Gen.Int[0, 6000]).Array[1, 20]).Sample((perMinute, amount, earlier) =>
        {
            var time = new LimitTime();
            var bucket = Create(time, perMinute);
            foreach (var (milliseconds, taken, used) in earlier)
            {
                time.Advance(TimeSpan.FromMilliseconds(milliseconds));
                if (TryTake(time, bucket, taken)) bucket.Settle(taken, used, time.GetTimestamp());
            }
            if (bucket.WaitFor(amount, time.GetTimestamp()) is not { } wait)
            {
                Assert.True(amount > bucket.Capacity);
                return;
            }
            if (wait > TimeSpan.Zero)
            {
                time.Advance(wait - TimeSpan.FromTicks(1));
                Assert.False(bucket.CanTake(amount, time.GetTimestamp()));
                time.Advance(TimeSpan.FromTicks(1));
            }
            Assert.True(bucket.CanTake(amount, time.GetTimestamp()));
        });

    [Fact]
    public void Settle_MoreThanReserved_IsPaidBeforeNextCall()
    {
        var bucket = Create(60);
        Assert.True(TryTake(bucket, 60));
        bucket.Settle(60, 120, _time.GetTimestamp());
        // A minute of debt, and a second for the token.
        Assert.Equal(TimeSpan.FromSeconds(61), bucket.WaitFor(1, _time.GetTimestamp()));
    }

    [Fact]
    public void Apply_ChangedLimit_KeepsWhatWasUsed()
    {
        var bucket = Create(100);
        Assert.True(TryTake(bucket, 80));
        bucket.Apply(90, 1, _time.GetTimestamp());
        Assert.False(bucket.CanTake(11, _time.GetTimestamp()));
        Assert.True(bucket.CanTake(10, _time.GetTimestamp()));
        bucket.Apply(50, 1, _time.GetTimestamp());
        Assert.False(bucket.CanTake(1, _time.GetTimestamp()));
        bucket.Apply(200, 1, _time.GetTimestamp());
        Assert.True(bucket.CanTake(120, _time.GetTimestamp()));
    }

    [Fact]
    public void CanTake_ClockThatRunsBackwards_RefillsNothing()
    {
        var bucket = Create(60);
        var now = _time.GetTimestamp();
        Assert.True(TryTake(bucket, 60));
        Assert.False(bucket.CanTake(1, now - TimeSpan.TicksPerHour));
        Assert.False(bucket.CanTake(1, now));
        Assert.True(bucket.CanTake(1, now + TimeSpan.TicksPerSecond));
    }

    [Fact]
    public void State_Bucket_ShowsCapacityWindowAndReset()
    {
        var bucket = Create(60, 2);
        Assert.True(TryTake(bucket, 30));
        var state = bucket.StateAt(new LimitMoment(_time.GetTimestamp(), _time.GetUtcNow()));
        Assert.Equal((120, 0, 30, 90, 120), (state.Limit, state.Used, state.Reserved, state.Remaining, state.WindowSeconds));
        Assert.Equal(_time.GetUtcNow().AddSeconds(30), state.ResetsAt);
        bucket.Settle(30, 30, _time.GetTimestamp());
        Assert.Equal(30, bucket.StateAt(new LimitMoment(_time.GetTimestamp(), _time.GetUtcNow())).Used);
    }

    [Fact]
    public void ShareOut_AnyNodes_AdmitTogetherAtMostTheWhole() =>
        Gen.Select(Gen.Int[1, 5000], Gen.Int[1, 40], Gen.Int[1, 7], Gen.Int[0, 9000]).Sample((perMinute, burst, nodes, milliseconds) =>
        {
            var time = new LimitTime();
            var buckets = Enumerable.Range(0, nodes).Select(_ => Create(time, perMinute, burst / 10m)).ToArray();
            var admitted = 0L;
            foreach (var bucket in buckets) bucket.ShareOut(nodes, time.GetTimestamp());
            for (var round = 0; round < 2; round++)
            {
                foreach (var bucket in buckets)
                {
                    while (TryTake(time, bucket, 1)) admitted++;
                }
                time.Advance(TimeSpan.FromMilliseconds(milliseconds));
            }
            // Each node serves something, also if the whole is smaller than their number.
            var most = Math.Max(buckets[0].WholeCapacity, nodes) + (Math.Max(perMinute, nodes) * milliseconds / 60_000m);
            Assert.InRange(admitted, nodes, most);
        });

    [Fact]
    public void ShareOut_UsedBucket_SharesWhatIsMissing()
    {
        var bucket = Create(120);
        Assert.True(TryTake(bucket, 60));
        bucket.ShareOut(3, _time.GetTimestamp());
        Assert.Equal((40, 40, 120, 120), (bucket.Limit, bucket.Capacity, bucket.WholeLimit, bucket.WholeCapacity));
        Assert.True(bucket.CanTake(20, _time.GetTimestamp()));
        Assert.False(bucket.CanTake(21, _time.GetTimestamp()));
        // A node more.
        bucket.ShareOut(4, _time.GetTimestamp());
        Assert.True(bucket.CanTake(15, _time.GetTimestamp()));
        Assert.False(bucket.CanTake(16, _time.GetTimestamp()));
    }

    [Fact]
    public void Unreported_TakenInShare_IsWhatHasNotRefilled()
    {
        var bucket = Create(120);
        Assert.True(TryTake(bucket, 60));
        Assert.Equal(0, bucket.TakeUnreported(_time.GetTimestamp()));
        bucket.ShareOut(1, _time.GetTimestamp());
        Assert.True(TryTake(bucket, 50));
        // Until it is confirmed, the same is reported again.
        Assert.Equal(50, bucket.TakeUnreported(_time.GetTimestamp()));
        Assert.Equal(50, bucket.TakeUnreported(_time.GetTimestamp()));
        bucket.Reported();
        Assert.Equal(0, bucket.TakeUnreported(_time.GetTimestamp()));
        _time.Advance(TimeSpan.FromSeconds(30));
        Assert.True(TryTake(bucket, 10));
        _time.Advance(TimeSpan.FromSeconds(28));
        // Of 60 that are missing then, 56 have refilled.
        Assert.Equal(4, bucket.TakeUnreported(_time.GetTimestamp()));
    }

    [Fact]
    public void Unreported_LessThanWasReported_IsNoRefund()
    {
        var bucket = Create(120);
        bucket.ShareOut(1, _time.GetTimestamp());
        Assert.True(TryTake(bucket, 50));
        bucket.Unreported -= 70;
        Assert.Equal(0, bucket.TakeUnreported(_time.GetTimestamp()));
    }

    [Fact]
    public void Show_StoreThatMissesAReport_CountsItHere()
    {
        var bucket = Create(60);
        bucket.ShareOut(1, _time.GetTimestamp());
        Assert.True(TryTake(bucket, 10));
        Assert.Equal(10, bucket.TakeUnreported(_time.GetTimestamp()));
        bucket.Show(30 * 60_000_000L, 2, _time.GetTimestamp());
        Assert.Equal(20, bucket.StateAt(new LimitMoment(_time.GetTimestamp(), _time.GetUtcNow())).Remaining);
        bucket.Reported();
        bucket.Show(40 * 60_000_000L, 3, _time.GetTimestamp());
        Assert.Equal(20, bucket.StateAt(new LimitMoment(_time.GetTimestamp(), _time.GetUtcNow())).Remaining);
    }

    [Fact]
    public void Settle_TakenByAllNodes_GivesItsPartBackToTheShare()
    {
        var bucket = Create(120);
        bucket.Hold(90);
        bucket.Show(90 * 60_000_000L, 1, _time.GetTimestamp());
        bucket.ShareOut(3, _time.GetTimestamp());
        // Of the 40 of this node, 30 are used. A third of the 60 that come back are this node's.
        bucket.Settle(90, 30, _time.GetTimestamp(), isTakenHere: false);
        Assert.Equal(30, bucket.StateAt(new LimitMoment(_time.GetTimestamp(), _time.GetUtcNow())).Remaining);
    }

    [Fact]
    public void Show_OlderThanShown_IsIgnored()
    {
        var bucket = Create(60);
        bucket.Show(30 * 60_000_000L, 2, _time.GetTimestamp());
        bucket.Show(10 * 60_000_000L, 1, _time.GetTimestamp());
        Assert.Equal(30, bucket.StateAt(new LimitMoment(_time.GetTimestamp(), _time.GetUtcNow())).Remaining);
    }
}
