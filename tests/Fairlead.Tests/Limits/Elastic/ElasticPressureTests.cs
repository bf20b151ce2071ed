using CsCheck;
using Fairlead.Limits.Elastic;

namespace Fairlead.Tests.Limits.Elastic;

public sealed class ElasticPressureTests
{
    private readonly ElasticPressure _pressure = new();

    [Fact]
    public void Step_Strain_ShrinksBulkThenStandardThenRealtime()
    {
        Steps(10, isStrained: true);
        Assert.Equal([0, 0, -1], Levels());
        Steps(5, isStrained: true);
        Assert.Equal([0, -0.5, -1], Levels());
        Steps(5, isStrained: true);
        Assert.Equal([0, -1, -1], Levels());
        Steps(10, isStrained: true);
        Assert.Equal([-1, -1, -1], Levels());
        Steps(100, isStrained: true);
        Assert.Equal([-1, -1, -1], Levels());
    }

    [Fact]
    public void Step_StrainEnds_ReturnsRealtimeFirstAfterACalmTime()
    {
        Steps(30, isStrained: true);
        Steps(ElasticPressure.Calm);
        Assert.Equal([-1, -1, -1], Levels());
        Steps(20);
        Assert.Equal([0, -1, -1], Levels());
        Steps(40);
        Assert.Equal([0, 0, 0], Levels());
        Steps(100);
        Assert.Equal([0, 0, 0], Levels());
    }

    [Fact]
    public void Step_Room_GrowsAllClassesAndGoesAtOnceUnderStrain()
    {
        Steps(ElasticPressure.Calm + 50, hasRoom: true);
        Assert.Equal([0.5, 0.5, 0.5], Levels());
        Steps(100, hasRoom: true);
        Assert.Equal([1, 1, 1], Levels());
        Steps(1, isStrained: true);
        Assert.Equal([0, 0, -0.1], Levels());
    }

    [Fact]
    public void Step_RoomIsGone_ReturnsToTheBase()
    {
        Steps(ElasticPressure.Calm + 100, hasRoom: true);
        Steps(10);
        Assert.Equal([0, 0, 0], Levels());
    }

    /// <summary>Whatever happens, a class never stands lower than one below it, and all stay between -1 and 1.</summary>
    [Fact]
    public void Step_AnyOrder_NeverShrinksAHigherClassMore() =>
        Gen.Select(Gen.Bool, Gen.Bool).Array[0, 300].Sample(steps =>
        {
            var pressure = new ElasticPressure();
            foreach (var (isStrained, hasRoom) in steps)
            {
                pressure.Step(isStrained, hasRoom);
                var levels = Enumerable.Range(0, 3).Select(pressure.LevelOf).ToArray();
                if (levels[0] < levels[1] || levels[1] < levels[2] || levels[2] < -1 || levels[0] > 1) return false;
            }
            return true;
        }, threads: 1);

    private double[] Levels() => [.. Enumerable.Range(0, 3).Select(rank => Math.Round(_pressure.LevelOf(rank), 9) + 0.0)];

    private void Steps(int count, bool isStrained = false, bool hasRoom = false)
    {
        for (var i = 0; i < count; i++) _pressure.Step(isStrained, hasRoom);
    }
}
