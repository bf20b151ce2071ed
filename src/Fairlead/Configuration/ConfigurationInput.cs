using System.Collections;
using Microsoft.Extensions.Configuration;

namespace Fairlead.Configuration;

/// <summary>
/// Where the configuration comes from. Later ones have precedence: defaults, the vendors' variables, the file, settings of the program, the
/// environment.
/// </summary>
public sealed record ConfigurationInput
{
    private static readonly string[] Names = ["fairlead.yaml", "fairlead.yml", "fairlead.json"];

    /// <summary>
    /// The file; null to look for fairlead.yaml, fairlead.yml or fairlead.json in <see cref="WorkingDirectory"/>, where none is
    /// needed.
    /// </summary>
    public string? Path { get; init; }

    public string WorkingDirectory { get; init; } = ".";

    /// <summary>
    /// Variables of the process. <c>Fairlead__Section__Key</c> overlays the file; <c>${NAME}</c> in the file refers to all of them.
    /// </summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>The embedding program's own configuration, whose section <c>Fairlead</c> overlays the file; null for none.</summary>
    public IConfiguration? Settings { get; init; }

    /// <summary>Whether only <c>dataDirectory</c> and <c>storage</c> are read, for commands that need only the database.</summary>
    internal bool StoreOnly { get; init; }

    /// <summary>Further checks of the finished configuration.</summary>
    internal IReadOnlyList<Func<GatewayConfiguration, IEnumerable<ConfigurationError>>> Checks { get; init; } = [];

    /// <summary>The process's own working directory and environment, with <c>FAIRLEAD_CONFIG</c>.</summary>
    public static ConfigurationInput FromProcess()
    {
        var environment = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (DictionaryEntry entry in System.Environment.GetEnvironmentVariables())
        {
            environment[(string)entry.Key] = entry.Value as string ?? "";
        }
        return new() { WorkingDirectory = Directory.GetCurrentDirectory(), Environment = environment };
    }

    /// <summary>The absolute path of the file that is read; null for none.</summary>
    internal string? FilePath => Locate([]);

    /// <summary>The absolute path of the file to read; null for none. Two candidates are an error.</summary>
    internal string? Locate(List<ConfigurationError> errors)
    {
        var named = Path ?? (Environment.TryGetValue("FAIRLEAD_CONFIG", out var variable) && variable.Length > 0 ? variable : null);
        if (named is not null) return System.IO.Path.GetFullPath(named, System.IO.Path.GetFullPath(WorkingDirectory));
        var found = Names.Select(name => System.IO.Path.GetFullPath(System.IO.Path.Combine(WorkingDirectory, name)))
            .Where(File.Exists).ToArray();
        if (found.Length > 1)
        {
            errors.Add(new("(file)", string.Join(", ", found.Select(System.IO.Path.GetFileName)), "There are several configuration files.",
                "Keep one, or name it with FAIRLEAD_CONFIG."));
        }
        return found.FirstOrDefault();
    }
}
