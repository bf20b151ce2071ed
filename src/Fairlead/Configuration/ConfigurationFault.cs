namespace Fairlead.Configuration;

/// <summary>One thing that is wrong with the configuration.</summary>
/// <param name="Key">Path of the key, such as <c>fairlead.providers.openai.apiKey</c>.</param>
/// <param name="Value">The value as written; null when there is none or it may be a secret.</param>
/// <param name="Problem">What is wrong, one sentence.</param>
/// <param name="Remedy">What to do about it, one sentence; empty where the problem says it.</param>
public sealed record ConfigurationFault(string Key, string? Value, string Problem, string Remedy)
{
    /// <summary>File or environment variable the value came from; null when it came from nowhere (a key that is missing).</summary>
    public string? Source { get; init; }

    /// <summary>Line of the file, from 1; null where it is not known.</summary>
    public int? Line { get; init; }

    /// <summary>One line for a console or a log.</summary>
    public override string ToString()
    {
        var place = Source is null ? "" : Line is { } line ? $" ({Source}, line {line})" : $" ({Source})";
        var value = Value is null ? "" : $" = {Value}";
        return $"{Key}{value}{place}: {Problem} {Remedy}".TrimEnd();
    }
}

/// <summary>The configuration cannot be used. Carries every fault found, not the first one.</summary>
public sealed class ConfigurationException(IReadOnlyList<ConfigurationFault> faults)
    : Exception("The configuration has " + (faults.Count == 1 ? "a fault" : $"{faults.Count} faults") + ":" + string.Concat(faults.Select(f => "\n  " + f)))
{
    public IReadOnlyList<ConfigurationFault> Faults { get; } = faults;
}
