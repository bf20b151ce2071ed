namespace Fairlead.Benchmarks.Simulation;

/// <summary>Writes the plots of a simulation.</summary>
internal static class SimulateCommand
{
    /// <param name="folder">Where they are written; a relative path is relative to the repository.</param>
    public static async Task<int> RunAsync(string folder)
    {
        folder = Path.Combine(RepositoryOf(AppContext.BaseDirectory), folder);
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

    private static string RepositoryOf(string path)
    {
        for (var folder = new DirectoryInfo(path); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Fairlead.slnx"))) return folder.FullName;
        }
        return Directory.GetCurrentDirectory();
    }
}
