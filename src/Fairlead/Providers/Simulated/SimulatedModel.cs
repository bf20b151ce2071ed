namespace Fairlead.Providers.Simulated;

/// <summary>The default behaviour of a simulated model.</summary>
internal enum SimulatedTask
{
    /// <summary>A few sentences.</summary>
    Sentences,

    /// <summary>The last user text.</summary>
    Echo,

    /// <summary>Calls the first tool.</summary>
    Tools,

    /// <summary>A JSON value.</summary>
    Json,

    /// <summary>Thinks, then writes text.</summary>
    Reason,
}

/// <summary>One simulated model. Times are medians of log-normal distributions; zero means at once.</summary>
internal sealed record SimulatedModel(string Name, SimulatedTask Task, TimeSpan FirstToken, double TokensPerSecond)
{
    private static readonly Dictionary<string, SimulatedModel> ByName = new SimulatedModel[]
    {
        new("sim-fast", SimulatedTask.Sentences, TimeSpan.Zero, double.PositiveInfinity),
        new("sim-slow", SimulatedTask.Sentences, TimeSpan.FromMilliseconds(800), 20),
        new("sim-echo", SimulatedTask.Echo, TimeSpan.Zero, double.PositiveInfinity),
        new("sim-tools", SimulatedTask.Tools, TimeSpan.Zero, double.PositiveInfinity),
        new("sim-json", SimulatedTask.Json, TimeSpan.Zero, double.PositiveInfinity),
        new("sim-reason", SimulatedTask.Reason, TimeSpan.FromMilliseconds(200), 100),
    }.ToDictionary(m => m.Name, StringComparer.Ordinal);

    public static SimulatedModel? Find(string name) => ByName.GetValueOrDefault(name);
}
