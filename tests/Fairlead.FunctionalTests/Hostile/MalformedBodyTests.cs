using System.Globalization;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>
/// Bodies corrupted in every way, hundreds at each door. A body gets a success only if it is valid, and otherwise a documented refusal.
/// There is never a failure, a hang, a cut connection or a leak, and nothing is held afterwards.
/// </summary>
public sealed class MalformedBodyTests(HostileGateway world) : IClassFixture<HostileGateway>
{
    /// <summary>Bodies with one error each, sampled from all of them. The long run sends all.</summary>
    private const int Singles = 350;

    private const int Combinations = 60;

    public static TheoryData<string> Doors => [.. HostileDoor.All.Select(door => door.Name)];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Doors))]
    public async Task Body_Mutated_IsRefusedAsDocumented(string name)
    {
        var door = HostileDoor.All.Single(door => door.Name == name);
        var valid = door.ValidBody(world);
        // The uncorrupted body must be accepted, or its corrupted forms would prove nothing.
        await (door.IsAdmin ? world.Gateway.Admin : world.Gateway.Client).PostForJsonAsync(door.Address(world), valid.ToJsonString());
        Assert.Empty(door.Requests.Faults(valid));

        var singles = Mutations.OfFields(valid).ToArray();
        var seeds = HostileRun.IsFull ? Enumerable.Range(1, 10) : [1];
        foreach (var seed in seeds)
        {
            var random = new Random(seed);
            if (seed == 1 && !HostileRun.IsFull) random.Shuffle(singles);
            var run = new HostileRun(world);
            if (seed == 1)
            {
                await run.SendAsync(door, Mutations.OfText(valid).Where(mutation => mutation.Body.Length > 0 || !door.MayBeEmpty), Cancel);
                await run.SendAsync(door, HostileRun.IsFull ? singles : singles.Take(Singles), Cancel);
            }
            await run.SendAsync(door, Enumerable.Range(0, Combinations).Select(_ => Mutations.Several(valid, random)).ToArray(), Cancel);
            run.Verify(string.Create(CultureInfo.InvariantCulture, $"Seed {seed}; statuses {string.Join(", ", run.Statuses)}"));
            Assert.True(run.Statuses.GetValueOrDefault(400) > 0);
        }
        await world.HoldsNothingAsync(Cancel);
    }
}
