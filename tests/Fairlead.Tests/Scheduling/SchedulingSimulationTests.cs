using Fairlead.Catalogue;

namespace Fairlead.Tests.Scheduling;

/// <summary>An hour of mixed traffic on 50 deployments, in virtual time.</summary>
public sealed class SchedulingSimulationTests
{
    private const int Models = 6;
    private const int Organizations = 30;
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly VirtualQueue _queue = new();
    private readonly Random _random = new(20261130);
    private readonly Deployment[] _deployments = [.. Enumerable.Range(0, 50).Select(i => VirtualQueue.At($"p{i % 7}/m{i}", 2))];
    private readonly List<SimulatedCall> _calls = [];

    /// <summary>
    /// Demand rises above the capacity in the second third of the hour. Realtime waits least and bulk longest; every call is served; small
    /// organizations of equal weight do not wait longer than the one that causes the strain; no slot is free while a call waits for it.
    /// </summary>
    [Fact]
    public void Hour_OfMixedTraffic_IsFairAndStarvesNobody()
    {
        for (var i = 0; i < Organizations; i++) Arrive($"org{i}", 1);
        // One organization sends as much as all others together, for twenty minutes.
        _queue.After(Second * 1200, () => Arrive("loud", Organizations, Second * 2400));
        for (var minute = 1; minute <= 60; minute++) _queue.After(Second * 60 * minute, NothingIsIdle);
        _queue.RunUntil(Second * 3600);
        _queue.RunUntil(Second * 7200);

        Assert.Empty(_queue.Refused);
        Assert.Empty(_queue.Slots.Lengths());
        Assert.True(_calls.Count > 10_000);
        Assert.All(_calls, call => Assert.NotNull(call.StartedAt));

        var strained = _calls.Where(call => call.ArrivedAt >= Second * 1300 && call.ArrivedAt < Second * 2400).ToList();
        var waits = Enumerable.Range(0, 3).Select(rank => Mean(strained.Where(call => call.Class == rank))).ToArray();
        Assert.True(waits[0] < waits[1] && waits[1] < waits[2], string.Join(" / ", waits));
        Assert.True(Mean(strained.Where(call => call.Organization == "loud")) > 0, "There was no strain.");

        // Within a class, those that ask for less wait less.
        foreach (var rank in Enumerable.Range(0, 3))
        {
            var others = Mean(strained.Where(call => call.Class == rank && call.Organization != "loud"));
            var loud = Mean(strained.Where(call => call.Class == rank && call.Organization == "loud"));
            Assert.True(others <= loud, $"Class {rank}: {others} s, and {loud} s for the loud one.");
        }
        // Equal organizations have equal waits, as far as chance allows.
        var means = Enumerable.Range(0, Organizations).Select(i => Mean(strained.Where(call => call.Organization == $"org{i}"))).ToArray();
        Assert.True(means.Max() < 3 * means.Average() + 1, string.Join(" ", means.Select(mean => $"{mean:0.0}")));
    }

    private void Arrive(string organization, double rate, TimeSpan? until = null)
    {
        if (_queue.Now >= (until ?? Second * 3600)) return;
        var model = _random.Next(Models);
        // Models share deployments: each has 15, of which 5 are also those of the next one.
        var list = Enumerable.Range(0, 15).Select(i => _deployments[((model * 9) + i) % 50]).ToArray();
        var tokens = 50 + _random.Next(500);
        var duration = Second * (1 + (tokens / 30.0));
        _calls.Add(_queue.Send(_queue.NewCall(
            organization, list, duration, rank: _random.Next(3), input: 100 + _random.Next(400), output: tokens, model: $"model{model}",
            isRun: true)));
        // All organizations together need 60 % of the slots; with the loud one it is 120 %.
        var mean = Organizations * 11.0 / (100 * 0.6);
        _queue.After(Second * (-Math.Log(1 - _random.NextDouble()) * mean / rate), () => Arrive(organization, rate, until));
    }

    private void NothingIsIdle()
    {
        foreach (var deployment in _deployments)
        {
            if (_queue.Slots.WaitingFor(deployment.Name) > 0) Assert.Equal(2, _queue.Slots.TakenAt(deployment.Name));
        }
    }

    private static double Mean(IEnumerable<SimulatedCall> calls) => calls.Select(call => call.Wait.TotalSeconds).DefaultIfEmpty().Average();
}
