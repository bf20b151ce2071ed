using Fairlead.Auditing.Content;
using Fairlead.Catalogue;
using Fairlead.Caching;
using Fairlead.Coalescing;
using Fairlead.Conversation;
using Fairlead.Idempotency;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;
using Fairlead.Rescue;
using Fairlead.Routing;
using Fairlead.StructuredOutput;
using Fairlead.Validation;

namespace Fairlead.Tests.Pipeline;

public sealed class PipelineTests
{
    [Fact]
    public void PipelineStages_Order_MatchesDesign()
    {
        Assert.Equal([typeof(IdempotencyStage), typeof(ContentPolicyStage), typeof(CatalogueStage), typeof(ValidationStage), typeof(LimitsStage)], GatewayPipeline.Admission);
        Assert.Equal([typeof(AuditContentStage), typeof(StructuredOutputStage), typeof(CacheStage), typeof(PolicyOutputStage), typeof(CoalescingStage), typeof(RescueStage), typeof(RoutingStage)], GatewayPipeline.Execution);
    }

    [Fact]
    public void Constructor_StageMissing_ThrowsNamingStage()
    {
        var exception = Assert.Throws<InvalidOperationException>(() => new GatewayPipeline([]));
        Assert.Contains("Stage", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Ids_SameMillisecond_SortInCreationOrder()
    {
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider(new DateTimeOffset(2126, 1, 1, 0, 0, 0, TimeSpan.Zero));
        var ids = Enumerable.Range(0, 1000).Select(_ => Ids.New("gen_", time)).ToList();
        Assert.Equal(ids.Order(StringComparer.Ordinal), ids);
        Assert.Equal(1000, ids.Distinct().Count());
    }

    [Fact]
    public void Ids_GeneratedAfterClockMovedBack_SortAfterEarlierIds()
    {
        var start = new DateTimeOffset(2126, 1, 1, 0, 0, 0, TimeSpan.Zero);
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider(start);
        List<string> ids = [Ids.New("gen_", time)];
        time.AdjustTime(start - TimeSpan.FromMilliseconds(Ids.MaxLead - 1000));
        // More than are counted within a millisecond.
        for (var i = 0; i < 70_000; i++) ids.Add(Ids.New("gen_", time));
        Assert.Equal(ids.Order(StringComparer.Ordinal), ids);
        Assert.Equal(ids.Count, ids.Distinct().Count());
    }

    [Fact]
    public void Ids_GeneratedAfterClockThatWasFarAheadWasSetRight_HaveTheRightTime()
    {
        var ahead = new DateTimeOffset(2126, 1, 1, 0, 0, 0, TimeSpan.Zero);
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider(ahead);
        Ids.New("gen_", time);
        var right = ahead - TimeSpan.FromHours(1);
        time.AdjustTime(right);
        Assert.Equal(right, Ids.TimeOf("gen_", Ids.New("gen_", time)));
        // Nor does one clock move the ids of another.
        Assert.True(Ids.TimeOf("gen_", Ids.New("gen_", TimeProvider.System)) < ahead - TimeSpan.FromDays(1));
    }

    [Fact]
    public void Ids_Generated_AreUniqueSortableAndWellFormed()
    {
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider();
        var seen = new HashSet<string>();
        string? previous = null;
        for (var i = 0; i < 5000; i++)
        {
            var id = Ids.New("gen_", time);
            Assert.Matches("^gen_[0-9A-HJKMNP-TV-Z]{26}$", id);
            Assert.True(seen.Add(id));
            if (previous is not null) Assert.True(string.CompareOrdinal(previous[..14], id[..14]) <= 0);
            previous = id;
            time.Advance(TimeSpan.FromMilliseconds(1));
        }
    }

    [Fact]
    public void Ids_RandomPart_UsesAllBits()
    {
        // The count fills three letters and a bit of the fourth. Each of the twelve behind must take all values; a slip in the shifting would freeze some.
        var letters = Enumerable.Range(0, 12).Select(_ => new HashSet<char>()).ToArray();
        for (var i = 0; i < 2000; i++)
        {
            var id = Ids.New("", TimeProvider.System);
            for (var k = 0; k < 12; k++) letters[k].Add(id[14 + k]);
        }
        Assert.All(letters, set => Assert.Equal(32, set.Count));
    }

    [Fact]
    public async Task Cancellation_DeadlineBeforeAttemptEnds_ReasonIsDeadline()
    {
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider();
        using var client = new CancellationTokenSource();
        using var cancellation = new CallCancellation(time.GetUtcNow() + TimeSpan.FromSeconds(2), time, client.Token, default);
        cancellation.Arm(TimeSpan.FromSeconds(10));
        time.Advance(TimeSpan.FromSeconds(1.9));
        Assert.False(cancellation.Token.IsCancellationRequested);
        time.Advance(TimeSpan.FromSeconds(0.2));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Task.Delay(Timeout.InfiniteTimeSpan, time, cancellation.Token));
        Assert.Equal(CancellationReason.Deadline, cancellation.Reason);
    }

    [Fact]
    public void Cancellation_AttemptTakesTooLong_ReasonIsAttemptTimeout()
    {
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider();
        using var cancellation = new CallCancellation(null, time, default, default);
        cancellation.Arm(TimeSpan.FromSeconds(10));
        time.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(CancellationReason.AttemptTimeout, cancellation.Reason);
    }

    [Fact]
    public void Cancellation_ClientDisconnectsFirst_ReasonStaysClientLeft()
    {
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider();
        using var client = new CancellationTokenSource();
        using var shutdown = new CancellationTokenSource();
        using var cancellation = new CallCancellation(time.GetUtcNow() + TimeSpan.FromSeconds(1), time, client.Token, shutdown.Token);
        client.Cancel();
        shutdown.Cancel();
        time.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal(CancellationReason.ClientLeft, cancellation.Reason);
    }

    [Fact]
    public void Timings_CustomPhases_AddUpAndReservedNamesThrow()
    {
        var timings = new CallTimings(TimeProvider.System);
        timings.Record("retrieval", TimeSpan.FromMilliseconds(3));
        timings.Record("retrieval", TimeSpan.FromMilliseconds(4));
        Assert.Equal(new KeyValuePair<string, TimeSpan>("retrieval", TimeSpan.FromMilliseconds(7)), Assert.Single(timings.Own));
        Assert.Throws<ArgumentException>(() => timings.Record("total", TimeSpan.Zero));
        Assert.Throws<ArgumentException>(() => timings.Record("a b", TimeSpan.Zero));
        Assert.Throws<ArgumentOutOfRangeException>(() => timings.Record("x", TimeSpan.FromSeconds(-1)));
    }
}
