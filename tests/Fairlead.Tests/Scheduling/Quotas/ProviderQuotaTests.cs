using CsCheck;
using Fairlead.Scheduling.Quotas;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Scheduling.Quotas;

public sealed class ProviderQuotaTests
{
    private const int Key = 7;
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly FakeTimeProvider _time = new();
    private readonly ProviderQuota _quota;

    public ProviderQuotaTests() => _quota = new ProviderQuota(_time);

    [Fact]
    public void TryReserve_NothingReported_AlwaysSucceeds()
    {
        Assert.False(_quota.IsActive);
        for (var i = 0; i < 100; i++) Assert.True(Reserve());
        Assert.Equal(TimeSpan.Zero, Wait());
    }

    [Fact]
    public void TryReserve_NothingLeft_FailsUntilTheReset()
    {
        Report(new ReportedLimits { Requests = new ReportedLimit(0, null, 2 * Second) });
        Assert.False(Reserve());
        Assert.InRange(Wait(), 2 * Second, (2 * Second) + TimeSpan.FromMilliseconds(1));
        _time.Advance(2 * Second - TimeSpan.FromTicks(1));
        Assert.False(Reserve());
        _time.Advance(TimeSpan.FromTicks(1));
        Assert.True(Reserve());
    }

    [Fact]
    public void TryReserve_NoResetReported_FailsForASecond()
    {
        Report(new ReportedLimits { Requests = new ReportedLimit(0, null, null) });
        Assert.False(Reserve());
        _time.Advance(ProviderQuota.DefaultReset);
        Assert.True(Reserve());
    }

    [Fact]
    public void TryReserve_FewLeft_AdmitsThatManyCalls()
    {
        Report(new ReportedLimits { Requests = new ReportedLimit(3, null, 60 * Second) });
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal([true, true, true, false], Enumerable.Range(0, 4).Select(_ => Reserve()));
    }

    [Fact]
    public void Return_CallNotSent_GivesItsRequestAndTokensBack()
    {
        Report(new ReportedLimits { Requests = new ReportedLimit(2, null, 60 * Second), Tokens = new ReportedLimit(500, null, 60 * Second) });
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.True(_quota.TryReserve([Key], 400, out var reserved));
        Assert.True(Reserve(tokens: 100));
        Assert.False(Reserve(tokens: 1));
        // One that was never counted returns nothing.
        _quota.Return(default);
        _quota.Return(new QuotaReservation(Key, 0, 400));
        _quota.Return(reserved with { Key = Key + 1 });
        Assert.False(Reserve(tokens: 1));
        _quota.Return(reserved);
        _quota.Return(reserved);
        Assert.False(Reserve(tokens: 401));
        Assert.True(Reserve(tokens: 400));
        Assert.False(Reserve(tokens: 1));
    }

    /// <summary>Calls of the same size: what is returned is the call itself, or nothing if it counts no more.</summary>
    [Fact]
    public void Return_NotCountedOrReported_TakesNoOtherCallBack()
    {
        // Before anything was reported.
        Assert.True(_quota.TryReserve([Key], 1, out var early));
        Report(new ReportedLimits { Requests = new ReportedLimit(1, null, 60 * Second) });
        _time.Advance(Second);
        Assert.True(_quota.TryReserve([Key], 1, out var first));
        _quota.Return(early);
        Assert.False(Reserve());
        // A report includes it.
        _quota.Report(Key, _time.GetTimestamp(), new ReportedLimits { Requests = new ReportedLimit(2, null, 60 * Second) });
        _time.Advance(Second);
        Assert.True(Reserve());
        Assert.True(_quota.TryReserve([Key], 1, out var last));
        _quota.Return(first);
        Assert.False(Reserve());
        _quota.Return(last);
        Assert.Equal((1, null), _quota.Left([Key]));
        // What was returned is not forgotten a second time.
        _quota.Report(Key, _time.GetTimestamp(), new ReportedLimits { Requests = new ReportedLimit(1, null, 60 * Second), Tokens = new ReportedLimit(10, null, 60 * Second) });
        Assert.Equal((1, 10), _quota.Left([Key]));
    }

    [Fact]
    public void TryReserve_TooFewTokensForTheCall_AdmitsOnlySmallerOnes()
    {
        Report(new ReportedLimits { Requests = new ReportedLimit(50, 100, 30 * Second), Tokens = new ReportedLimit(500, null, 60 * Second) });
        Assert.False(Reserve(tokens: 501));
        Assert.True(Reserve(tokens: 400));
        Assert.False(Reserve(tokens: 200));
        Assert.True(Reserve(tokens: 100));
    }

    [Fact]
    public void TryReserve_LimitKnown_RefillsEvenlyUntilTheReset()
    {
        // One a second.
        Report(new ReportedLimits { Requests = new ReportedLimit(0, 60, 60 * Second) });
        Assert.False(Reserve());
        _time.Advance(Second);
        Assert.True(Reserve());
        Assert.False(Reserve());
        Assert.InRange(Wait(), Second, Second + TimeSpan.FromMilliseconds(1));
    }

    [Fact]
    public void TryReserve_CallLargerThanTheLimit_WaitsForAllOfIt()
    {
        Report(new ReportedLimits { Tokens = new ReportedLimit(0, 1000, 10 * Second) });
        Assert.InRange(_quota.WaitFor([Key], 5000), 10 * Second, 10.01 * Second);
        _time.Advance(10 * Second);
        Assert.True(Reserve(tokens: 5000));
    }

    [Fact]
    public void TryReserve_AnthropicInput_CountsInputOnlyAndAnEmptyOutput()
    {
        Report(new ReportedLimits { InputTokens = new ReportedLimit(100, null, 5 * Second), OutputTokens = new ReportedLimit(1, null, 5 * Second) });
        Assert.True(Reserve(tokens: 100));
        Report(new ReportedLimits { OutputTokens = new ReportedLimit(0, null, 5 * Second) });
        Assert.False(Reserve(tokens: 0));
    }

    [Fact]
    public void Report_OfALaterAttempt_ReplacesWhatWasCounted()
    {
        var before = _time.GetTimestamp();
        Report(new ReportedLimits { Requests = new ReportedLimit(2, null, 60 * Second) });
        _time.Advance(Second);
        Assert.True(Reserve());
        Assert.True(Reserve());
        Assert.False(Reserve());
        // That of the first of them: it includes both.
        _quota.Report(Key, _time.GetTimestamp(), new ReportedLimits { Requests = new ReportedLimit(5, null, 60 * Second) });
        _time.Advance(Second);
        for (var i = 0; i < 5; i++) Assert.True(Reserve());
        Assert.False(Reserve());
        // A slow response of an earlier attempt is older.
        _quota.Report(Key, before, new ReportedLimits { Requests = new ReportedLimit(100, null, 60 * Second) });
        Assert.False(Reserve());
    }

    [Fact]
    public void Report_RetryAfter_HoldsTheKeyAtMostTenMinutes()
    {
        Report(new ReportedLimits { RetryAfter = 3 * Second });
        Assert.False(Reserve());
        _time.Advance(3 * Second);
        Assert.True(Reserve());
        Report(new ReportedLimits { RetryAfter = TimeSpan.FromDays(1) });
        _time.Advance(ProviderQuota.MaxHold - Second);
        Assert.False(Reserve());
        _time.Advance(Second);
        Assert.True(Reserve());
    }

    [Fact]
    public void TryReserve_SeveralKeys_UsesThoseWithRoomInTurn()
    {
        int[] keys = [1, 2, 3];
        _quota.Report(2, _time.GetTimestamp(), new ReportedLimits { Requests = new ReportedLimit(0, null, 5 * Second) });
        var used = Enumerable.Range(0, 6).Select(_ => _quota.TryReserve(keys, 1, out var reserved) ? reserved.Key : 0).ToArray();
        Assert.DoesNotContain(2, used);
        Assert.Contains(1, used);
        Assert.Contains(3, used);
        Assert.Equal(TimeSpan.Zero, _quota.WaitFor(keys, 1));
        foreach (var key in (int[])[1, 3]) _quota.Report(key, _time.GetTimestamp(), new ReportedLimits { RetryAfter = 9 * Second });
        Assert.False(_quota.TryReserve(keys, 1, out _));
        Assert.InRange(_quota.WaitFor(keys, 1), 5 * Second, 5.01 * Second);
    }

    [Fact]
    public void Left_OfSeveralKeys_IsTheSumIfAllReported()
    {
        Assert.Equal((null, null), _quota.Left([1, 2]));
        _quota.Report(1, 0, new ReportedLimits { Requests = new ReportedLimit(5, null, 60 * Second), Tokens = new ReportedLimit(900, null, 60 * Second) });
        Assert.Equal((null, null), _quota.Left([1, 2]));
        _quota.Report(2, 0, new ReportedLimits { Requests = new ReportedLimit(7, null, 60 * Second), InputTokens = new ReportedLimit(50, null, 60 * Second) });
        Assert.Equal((12, 950), _quota.Left([1, 2]));
    }

    /// <summary>The stated wait is enough, and nothing is admitted beyond what was reported and has refilled.</summary>
    [Fact]
    public void WaitFor_AnyReport_IsEnoughForTheCall() =>
        Gen.Select(Gen.Int[0, 50], Gen.Int[1, 50], Gen.Int[1, 100_000], Gen.Int[0, 60], Gen.Bool).Sample((remaining, limit, resetMs, calls, hasLimit) =>
        {
            var time = new FakeTimeProvider();
            var quota = new ProviderQuota(time);
            limit = Math.Max(limit, remaining);
            quota.Report(Key, time.GetTimestamp(), new ReportedLimits
            {
                Requests = new ReportedLimit(remaining, hasLimit ? limit : null, TimeSpan.FromMilliseconds(resetMs)),
            });
            time.Advance(TimeSpan.FromTicks(1));
            var admitted = 0;
            for (var i = 0; i < calls; i++)
            {
                if (quota.TryReserve([Key], 1, out _)) admitted++;
            }
            // Less than one can have refilled in a tick.
            if (admitted > Math.Max(remaining, 0) + 1 || admitted < Math.Min(calls, remaining)) return false;
            time.Advance(quota.WaitFor([Key], 1));
            return quota.TryReserve([Key], 1, out _);
        }, iter: 2000, threads: 1);

    private bool Reserve(double tokens = 1) => _quota.TryReserve([Key], tokens, out _);

    private TimeSpan Wait() => _quota.WaitFor([Key], 1);

    private void Report(ReportedLimits limits) => _quota.Report(Key, _time.GetTimestamp(), limits);
}
