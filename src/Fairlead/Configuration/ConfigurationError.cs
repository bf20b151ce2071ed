namespace Fairlead.Configuration;

/// <summary>One error of the configuration.</summary>
/// <param name="Key">Path of the key, such as <c>fairlead.providers.openai.apiKey</c>.</param>
/// <param name="Value">The value as written; null when it is missing or may be a secret.</param>
/// <param name="Problem">The problem, in one sentence.</param>
/// <param name="Remedy">The fix, in one sentence; empty when the problem states it.</param>
public sealed record ConfigurationError(string Key, string? Value, string Problem, string Remedy)
{
    /// <summary>File or environment variable the value came from; null for a missing key.</summary>
    public string? Source { get; init; }

    /// <summary>Line of the file, from 1; null when unknown.</summary>
    public int? Line { get; init; }

    /// <summary>One line for a console or a log.</summary>
    public override string ToString()
    {
        var location = Source is null ? "" : Line is { } line ? $" ({Source}, line {line})" : $" ({Source})";
        var value = Value is null ? "" : $" = {Value}";
        return $"{Key}{value}{location}: {Problem} {Remedy}".TrimEnd();
    }
}

/// <summary>The configuration cannot be used. Carries every error found, not the first one.</summary>
public sealed class ConfigurationException(IReadOnlyList<ConfigurationError> errors)
    : Exception("The configuration has " + (errors.Count == 1 ? "an error" : $"{errors.Count} errors") + ":"
        + string.Concat(errors.Select(f => "\n  " + f)))
{
    public IReadOnlyList<ConfigurationError> Errors { get; } = errors;
}
