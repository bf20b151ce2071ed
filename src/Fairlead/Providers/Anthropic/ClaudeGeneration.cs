namespace Fairlead.Providers.Anthropic;

/// <summary>The capabilities that a Claude model's name implies. A model with an unknown name counts as one of the newest.</summary>
/// <param name="Major">Such as 5.</param>
/// <param name="Minor">0 when there is none.</param>
/// <param name="Family">haiku, sonnet, opus, fable; empty when unknown.</param>
internal readonly record struct ClaudeGeneration(int Major, int Minor, string Family)
{
    private static readonly ClaudeGeneration Newest = new(5, 5, "");

    /// <summary>Has adaptive thinking, controlled by an effort; older models take a token budget.</summary>
    public bool IsAdaptive => Major > 4 || (Major == 4 && Minor >= 6);

    /// <summary>Rejects sampling parameters other than their defaults (claude-sonnet-5 and later).</summary>
    public bool RefusesSampling => Major >= 5;

    /// <summary>Accepts temperature or top_p, but not both at once.</summary>
    public bool TakesOneOfTemperatureAndTopP => Major == 4 && Minor >= 1;

    /// <summary>Thinking cannot be disabled.</summary>
    public bool AlwaysThinks => Family == "fable" || (Family == "opus" && (Major, Minor).CompareTo((5, 5)) >= 0);

    /// <summary>Supports thinking.</summary>
    public bool Thinks => Major >= 4 || (Major == 3 && Minor >= 7);

    /// <summary>Accepts operator instructions in the middle of the conversation.</summary>
    public bool TakesSystemTurns => Major >= 5;

    /// <summary>
    /// Reads both forms of names: <c>claude-sonnet-4-5[-20250929]</c> and <c>claude-3-7-sonnet-20250219</c>, with or without a vendor's
    /// prefix.
    /// </summary>
    public static ClaudeGeneration Of(string model)
    {
        var start = model.IndexOf("claude-", StringComparison.OrdinalIgnoreCase);
        if (start < 0) return Newest;
        var family = "";
        var (major, minor) = (-1, -1);
        foreach (var range in model.AsSpan(start + 7).SplitAny("-@:_.v"))
        {
            var word = model.AsSpan(start + 7)[range];
            if (word.Length is 1 or 2 && int.TryParse(word, out var number))
            {
                if (major < 0) major = number;
                else if (minor < 0) minor = number;
            }
            else if (word.Length > 2 && char.IsAsciiLetter(word[0]) && family.Length == 0)
            {
                family = word.ToString().ToLowerInvariant();
            }
            else if (word.Length > 2)
            {
                // A date: the numbers after it are not part of the version.
                break;
            }
        }
        return major < 0 ? Newest with { Family = family } : new ClaudeGeneration(major, Math.Max(0, minor), family);
    }
}
