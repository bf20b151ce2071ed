namespace Fairlead.Scheduling;

/// <summary>
/// How many runs of jobs may wait for slots on a node, each on a worker. The other runs go back to the queue of jobs, so that a worker is
/// left for jobs that need not wait.
/// </summary>
/// <param name="PerLine">Runs of one model, organization and class.</param>
/// <param name="All">All runs of the node.</param>
internal readonly record struct RunPlaces(int PerLine, int All)
{
    /// <summary>Part of the workers that one line may take.</summary>
    private const int WorkersPerPlace = 4;

    /// <summary>
    /// The places of a node with <paramref name="workers"/>. At least one: while others wait, a run that does not never gets a slot.
    /// </summary>
    public static RunPlaces Of(int workers) => new(Math.Max(1, workers / WorkersPerPlace), Math.Max(1, workers - 1));
}
