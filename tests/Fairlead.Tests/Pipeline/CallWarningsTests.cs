using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Tests.Pipeline;

public sealed class CallWarningsTests
{
    [Fact]
    public void Add_MoreThanTwentyWarnings_ListsTwentyAndCountsTheRest()
    {
        var warnings = new CallWarnings();
        for (var i = 0; i < 50_000; i++) warnings.Add("parameter_ignored", $"'f{i}' was left out.");
        Assert.Equal(CallWarnings.Max + 1, warnings.Snapshot.Count);
        Assert.Equal(Enumerable.Range(0, 20).Select(i => $"'f{i}' was left out."), warnings.Snapshot.Take(20).Select(one => one.Message));
        Assert.Equal(new CallWarning("warnings_omitted", "49980 more warnings are not listed."), warnings.Snapshot[^1]);
    }

    [Fact]
    public void Add_DuplicateWarnings_CountsEachOnce()
    {
        var warnings = new CallWarnings();
        for (var attempt = 0; attempt < 3; attempt++)
        {
            for (var i = 0; i < 30; i++) warnings.Add("parameter_ignored", $"'f{i}' was left out.");
        }
        Assert.Equal("10 more warnings are not listed.", warnings.Snapshot[^1].Message);
    }

    [Theory]
    [InlineData("a_first", 0)]
    [InlineData("z_last", 19)]
    public void Add_NewCodeWhenListIsFull_IsListed(string code, int at)
    {
        var warnings = new CallWarnings();
        for (var i = 0; i < 30; i++) warnings.Add("parameter_ignored", $"'f{i}' was left out.");
        warnings.Add(code, "Something else.");
        Assert.Equal(CallWarnings.Max + 1, warnings.Snapshot.Count);
        Assert.Equal(code, warnings.Snapshot[at].Code);
        Assert.Equal("11 more warnings are not listed.", warnings.Snapshot[^1].Message);
    }

    [Fact]
    public void Add_ManyWarnings_TakesLinearTime()
    {
        // Quadratic work would take a hundred times as long. The clock may advance in steps of some milliseconds, so the counts are large.
        var few = Shortest(20_000);
        var many = Shortest(200_000);
        Assert.True(many < (20 * few) + TimeSpan.FromMilliseconds(200), $"{few.TotalMilliseconds} ms, {many.TotalMilliseconds} ms");

        static TimeSpan Shortest(int count) => Enumerable.Range(0, 5).Min(_ =>
        {
            var since = ProcessorTime.OfThread();
            var warnings = new CallWarnings();
            for (var i = 0; i < count; i++) warnings.Add("parameter_ignored", $"'f{i}' was left out.");
            return ProcessorTime.OfThread() - since;
        });
    }
}
