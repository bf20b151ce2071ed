namespace Fairlead.Benchmarks.Simulation;

/// <summary>Writes the plots of a simulation.</summary>
internal static class SimulateCommand
{
    public static async Task<int> RunAsync(string folder)
    {
        var simulation = SchedulingSimulation.Run();
        Directory.CreateDirectory(folder);
        foreach (var (name, svg) in SchedulingPlots.Of(simulation))
        {
            var path = Path.Combine(folder, name);
            await File.WriteAllTextAsync(path, svg);
            Console.WriteLine(path);
        }
        Console.WriteLine($"{simulation.Calls:N0} calls were served; providers refused {simulation.Refusals.Sum():N0} attempts.");
        return 0;
    }
}
