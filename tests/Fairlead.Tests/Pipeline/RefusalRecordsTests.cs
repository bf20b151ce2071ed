using Fairlead.Errors;
using Fairlead.Pipeline;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Pipeline;

public sealed class RefusalRecordsTests
{
    [Fact]
    public void TryTake_ManyInOneSecond_TakesOneAndReportsSuppressedCountNext()
    {
        var time = new FakeTimeProvider();
        var records = new RefusalRecords(time);
        Assert.True(records.TryTake("key_a", ErrorCode.KeyRevoked, out var suppressed));
        Assert.Equal(0, suppressed);
        for (var i = 0; i < 500; i++) Assert.False(records.TryTake("key_a", ErrorCode.KeyRevoked, out _));

        // Other keys and other reasons are counted for themselves.
        Assert.True(records.TryTake("key_a", ErrorCode.InsufficientScope, out suppressed));
        Assert.Equal(0, suppressed);
        Assert.True(records.TryTake("key_b", ErrorCode.KeyRevoked, out _));

        time.Advance(RefusalRecords.Interval);
        Assert.True(records.TryTake("key_a", ErrorCode.KeyRevoked, out suppressed));
        Assert.Equal(500, suppressed);
        time.Advance(RefusalRecords.Interval);
        Assert.True(records.TryTake("key_a", ErrorCode.KeyRevoked, out suppressed));
        Assert.Equal(0, suppressed);
    }
}
