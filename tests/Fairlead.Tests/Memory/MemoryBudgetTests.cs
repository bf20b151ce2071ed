using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Streaming;

namespace Fairlead.Tests.Memory;

public sealed class MemoryBudgetTests
{
    private const long Limit = 10 * 1024 * 1024;

    private readonly MemoryBudget _budget = new(() => Limit);

    [Fact]
    public void TryTake_LargeRequest_LeavesTenPercentForSmallRequests()
    {
        Assert.True(_budget.TryTake(9 * Limit / 10, 9 * Limit / 10));
        Assert.False(_budget.TryTake(1, MemoryBudget.SmallBytes + 1));
        Assert.True(_budget.TryTake(MemoryBudget.SmallBytes, MemoryBudget.SmallBytes));
        _budget.Take(Limit - _budget.Used);
        Assert.False(_budget.TryTake(1, 1));
        _budget.Return(Limit);
        Assert.Equal(0, _budget.Used);
    }

    [Fact]
    public void TryTake_Refused_TakesNothing()
    {
        Assert.False(_budget.TryTake(2 * Limit, 2 * Limit));
        Assert.Equal(0, _budget.Used);
        Assert.Equal(ErrorCode.Overloaded, MemoryBudget.Overloaded.Code);
        Assert.NotNull(MemoryBudget.Overloaded.RetryAfter);
    }

    [Fact]
    public void Share_OneKey_IsHalfOfBudgetAndCountsTowardsTotal()
    {
        var (first, second) = (_budget.ShareOf("key_1"), _budget.ShareOf("key_2"));
        Assert.Same(first, _budget.ShareOf("key_1"));
        Assert.Equal(Limit / 2, first.Limit);
        Assert.True(first.TryTake(9 * Limit / 20, 9 * Limit / 20));
        Assert.False(first.TryTake(1, Limit));
        Assert.False(first.HasRoomFor(MemoryBudget.SmallBytes + 1));
        Assert.True(first.IsExhausted);
        Assert.Equal(9 * Limit / 20, _budget.Used);
        // What one key may not have, another one may.
        Assert.True(second.TryTake(9 * Limit / 20, 9 * Limit / 20));
        // All of it is used up now, though the share of a third key is not.
        Assert.False(_budget.ShareOf("key_3").TryTake(MemoryBudget.SmallBytes + 1, MemoryBudget.SmallBytes + 1));
        Assert.Equal(0, _budget.ShareOf("key_3").Used);
        Assert.True(_budget.ShareOf("key_3").IsExhausted);
        first.Return(9 * Limit / 20);
        second.Return(9 * Limit / 20);
        Assert.Equal(0, _budget.Used);
    }

    [Fact]
    public void Share_ConfiguredLimit_IsUsed()
    {
        var budget = new MemoryBudget(() => Limit, () => 1024 * 1024);
        Assert.Equal(1024 * 1024, budget.ShareOf("key_1").Limit);
    }

    [Fact]
    public void Share_ManyKeys_EvictsOnlyIdleShares()
    {
        var held = _budget.ShareOf("held");
        held.Take(1);
        var idle = _budget.ShareOf("idle");
        for (var i = 0; i < 10_001; i++) _budget.ShareOf($"key_{i}");
        Assert.Same(held, _budget.ShareOf("held"));
        Assert.NotSame(idle, _budget.ShareOf("idle"));
        held.Return(1);
    }

    [Fact]
    public async Task MemoryBudget_ManyThreads_StaysWithinLimitAndReturnsAll()
    {
        var most = 0L;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(seed => Task.Run(() =>
        {
            var random = new Random(seed);
            for (var i = 0; i < 5000; i++)
            {
                using var lease = new MemoryLease(_budget);
                for (var n = random.Next(5); n >= 0; n--)
                {
                    // A refused try may be seen for a moment; what was granted never exceeds the limit.
                    if (lease.TryTake(random.Next(2_000_000))) InterlockedMax(ref most, lease.Held);
                }
                if (random.Next(3) == 0) lease.Return(lease.Held / 2);
                lease.Dispose();
                lease.Take(77);
            }
        })));
        Assert.Equal(0, _budget.Used);
        Assert.True(most <= Limit);
    }

    [Fact]
    public void Buffer_WrittenThenDisposedTwice_CountsBytesAndReleasesOnce()
    {
        var buffer = new PooledBuffer(1000, _budget);
        Assert.Equal(1024, _budget.Used);
        buffer.Write(new byte[3000]);
        Assert.True(_budget.Used >= 3000);
        buffer.Write(new byte[3_000_000]);
        Assert.True(_budget.Used >= 3_003_000);
        buffer.Count(1000);
        buffer.Dispose();
        buffer.Dispose();
        Assert.Equal(0, _budget.Used);
    }

    [Fact]
    public void Buffer_AboveBudget_ThrowsAndKeepsContent()
    {
        using (var other = new PooledBuffer(8 * 1024 * 1024, _budget))
        {
            var buffer = new PooledBuffer(64, _budget);
            buffer.Write("kept"u8);
            Assert.Equal(ErrorCode.Overloaded, Assert.Throws<MemoryExhaustedException>(() => buffer.Write(new byte[4_000_000])).Error.Code);
            Assert.Equal("kept"u8.ToArray(), buffer.WrittenSpan.ToArray());
            buffer.Dispose();
            Assert.Throws<MemoryExhaustedException>(() => new PooledBuffer(4_000_000, _budget));
        }
        Assert.Equal(0, _budget.Used);
    }

    [Fact]
    public void Buffer_ExpectedLength_GrowsNoFurther()
    {
        const int expected = 5_000_000;
        using var buffer = new PooledBuffer(256 * 1024, _budget) { Expected = expected };
        for (var i = 0; i < 50; i++) buffer.Write(new byte[expected / 50]);
        Assert.Equal(expected, buffer.Length);
        Assert.Equal(expected, _budget.Used);
        Assert.Same(buffer.ToSharedArray(), buffer.ToSharedArray());
    }

    private static void InterlockedMax(ref long target, long value)
    {
        long known;
        while ((known = Volatile.Read(ref target)) < value && Interlocked.CompareExchange(ref target, value, known) != known)
        {
        }
    }
}
