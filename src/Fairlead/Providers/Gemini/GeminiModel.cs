using System.Globalization;

namespace Fairlead.Providers.Gemini;

/// <summary>How a request sets the amount of thinking of a model.</summary>
internal enum ThinkingControl
{
    None,

    /// <summary>A token budget (2.5).</summary>
    Budget,

    /// <summary>A named level (3 and later).</summary>
    Level,
}

/// <summary>The properties that a model's name implies.</summary>
internal readonly record struct GeminiModel
{
    private GeminiModel(string id, int major, int minor)
    {
        Id = id;
        Major = major;
        Minor = minor;
    }

    /// <summary>As in the path, without <c>models/</c>.</summary>
    public string Id { get; }

    /// <summary>0 for models that are not of the numbered family (gemma, learnlm …).</summary>
    public int Major { get; }

    public int Minor { get; }

    public ThinkingControl Thinking =>
        Major >= 3 ? ThinkingControl.Level : (Major, Minor) == (2, 5) ? ThinkingControl.Budget : ThinkingControl.None;

    public bool IsFlash => Id.Contains("flash", StringComparison.Ordinal);

    /// <summary>From 3 on, a function call without its signature is rejected as input.</summary>
    public bool DemandsSignatures => Major >= 3;

    /// <summary>Before 3, a JSON response format and functions exclude each other.</summary>
    public bool JsonWithTools => Major >= 3;

    /// <summary>Maximum thinking budget of a 2.5 model.</summary>
    public int MaxThinkingBudget => IsFlash ? 24_576 : 32_768;

    /// <summary>Minimum thinking budget above zero of a 2.5 model.</summary>
    public int MinThinkingBudget => Id.Contains("lite", StringComparison.Ordinal) ? 512 : IsFlash ? 1 : 128;

    public static GeminiModel Parse(string upstreamModel)
    {
        const string Prefix = "models/";
        var id = upstreamModel.StartsWith(Prefix, StringComparison.Ordinal) ? upstreamModel[Prefix.Length..] : upstreamModel;
        var (major, minor) = (0, 0);
        if (id.StartsWith("gemini-", StringComparison.Ordinal))
        {
            var rest = id.AsSpan("gemini-".Length);
            var digits = rest.IndexOfAnyExcept(Digits);
            var number = digits < 0 ? rest : rest[..digits];
            if (int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out major) && digits >= 0 && rest[digits] == '.')
            {
                rest = rest[(digits + 1)..];
                digits = rest.IndexOfAnyExcept(Digits);
                _ = int.TryParse(digits < 0 ? rest : rest[..digits], NumberStyles.None, CultureInfo.InvariantCulture, out minor);
            }
        }
        return new GeminiModel(id, major, minor);
    }

    private static readonly System.Buffers.SearchValues<char> Digits = System.Buffers.SearchValues.Create("0123456789");
}
