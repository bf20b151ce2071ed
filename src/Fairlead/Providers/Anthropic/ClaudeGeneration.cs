namespace Fairlead.Providers.Anthropic;

/// <summary>What a Claude model's name tells about the forms it takes. A name that tells nothing is taken for one of the newest.</summary>
/// <param name="Major">Such as 5.</param>
/// <param name="Minor">0 when there is none.</param>
/// <param name="Family">haiku, sonnet, opus, fable; empty when unknown.</param>
internal readonly record struct ClaudeGeneration(int Major, int Minor, string Family)
{
    private static readonly ClaudeGeneration Newest = new(5, 5, "");

    /// <summary>Thinks by itself as much as an effort asks for; older ones take a budget of tokens (CONTRACTS 4.7).</summary>
    public bool IsAdaptive => Major > 4 || (Major == 4 && Minor >= 6);

    /// <summary>Refuses sampling parameters other than their defaults (CONTRACTS 4.1: claude-sonnet-5 and later).</summary>
    public bool RefusesSampling => Major >= 5;

    /// <summary>Takes temperature or top_p, but not both at once.</summary>
    public bool TakesOneOfTemperatureAndTopP => Major == 4 && Minor >= 1;

    /// <summary>Thinking cannot be switched off.</summary>
    public bool AlwaysThinks => Family == "fable" || (Family == "opus" && (Major, Minor).CompareTo((5, 5)) >= 0);

    /// <summary>Can think at all.</summary>
    public bool Thinks => Major >= 4 || (Major == 3 && Minor >= 7);

    /// <summary>Takes instructions of the operator in the middle of the conversation.</summary>
    public bool TakesSystemTurns => Major >= 5;

    /// <summary>Reads both forms of names: <c>claude-sonnet-4-5[-20250929]</c> and <c>claude-3-7-sonnet-20250219</c>, with or without a vendor's prefix.</summary>
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
                // A date: the numbers behind it are no longer the version's.
                break;
            }
        }
        return major < 0 ? Newest with { Family = family } : new ClaudeGeneration(major, Math.Max(0, minor), family);
    }
}
