using Fairlead.Generations;
using Fairlead.Pipeline;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Generations;

/// <summary>When jobs are tried of whose line one was postponed.</summary>
public sealed class JobLinesTests
{
    private static readonly JobLine First = new("key_1", "m", "standard");
    private static readonly JobLine Second = First with { Class = "bulk" };

    private readonly FakeTimeProvider _time = new();
    private readonly JobLines _lines;

    public JobLinesTests() => _lines = new JobLines(_time);

    [Fact]
    public void TakeDue_AfterThePause_TriesOneJobAndThenOneEachSecond()
    {
        Assert.Null(_lines.UntilDue());
        _lines.Postponed(First, After(5));
        Assert.Equal([First], _lines.Held());
        Assert.Equal(TimeSpan.FromSeconds(5), _lines.UntilDue());
        Assert.Empty(_lines.TakeDue(8));
        _time.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal([First], _lines.TakeDue(8));
        Assert.Empty(_lines.TakeDue(8));
        Assert.Equal(JobLines.TryEvery, _lines.UntilDue());
        _time.Advance(JobLines.TryEvery);
        Assert.Equal([First], _lines.TakeDue(8));
    }

    [Fact]
    public void Moved_LineThatWaits_IsDueAtOnce()
    {
        _lines.Postponed(First, After(5));
        _lines.Postponed(Second, After(5));
        _lines.Moved(Second);
        _lines.Moved(Second with { Model = "another" });
        Assert.Equal(TimeSpan.Zero, _lines.UntilDue());
        Assert.Equal([Second], _lines.TakeDue(8));
    }

    [Fact]
    public void TakeDue_MoreThanThereIsRoomFor_TakesTheLongestDue()
    {
        _lines.Postponed(First, After(2));
        _lines.Postponed(Second, After(1));
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal([Second], _lines.TakeDue(1));
        Assert.Equal([First], _lines.TakeDue(1));
    }

    [Fact]
    public void Held_NothingPostponedForAWhile_ForgetsTheLine()
    {
        _lines.Postponed(First, After(5));
        _time.Advance(TimeSpan.FromSeconds(5) + JobLines.ForgetAfter - TimeSpan.FromMilliseconds(1));
        Assert.Equal([First], _lines.Held());
        _lines.Postponed(Second, After(5));
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal([Second], _lines.Held());
    }

    [Fact]
    public void Postponed_MoreLinesThanAreRemembered_KeepsThoseThatItHas()
    {
        for (var i = 0; i <= JobLines.MaxLines; i++) _lines.Postponed(First with { KeyId = $"key_{i}" }, After(5));
        Assert.Equal(JobLines.MaxLines, _lines.Held().Count);
        _lines.Postponed(First with { KeyId = "key_0" }, After(9));
        _time.Advance(TimeSpan.FromSeconds(5));
        Assert.DoesNotContain(First with { KeyId = "key_0" }, _lines.TakeDue(1000));
    }

    private static Postponement After(int seconds) => new(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(seconds));
}
