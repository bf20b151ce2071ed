using System.Text.Json;

namespace Fairlead.Conversation;

/// <summary>
/// Names of service tiers as providers report them: <c>default</c>, <c>flex</c>, <c>priority</c> and so on. Providers choose the names, so any
/// short name of letters and digits is accepted.
/// </summary>
internal static class ServiceTierName
{
    private const int MaxLength = 40;

    // Most responses name one of these, often in every event of a stream: no string is made for them.
    private static readonly string[] Known = ["default", "standard", "flex", "priority", "scale", "batch", "fast", "on_demand"];

    /// <summary>Whether it is the tier of the plain price under the name of OpenAI or Anthropic.</summary>
    public static bool IsPlain(string tier) => tier is "default" or "standard";

    /// <summary>Reads the value at the position of <paramref name="json"/>; null if it names no tier.</summary>
    public static string? Read(in Utf8JsonReader json)
    {
        if (json.TokenType != JsonTokenType.String || json.ValueIsEscaped || json.HasValueSequence) return null;
        foreach (var known in Known)
        {
            if (json.ValueTextEquals(known)) return known;
        }
        return json.ValueSpan.Length <= MaxLength && System.Text.Ascii.IsValid(json.ValueSpan) ? Of(json.GetString()) : null;
    }

    /// <summary>The name, or null if the text names no tier: <c>auto</c> is what a request says, not what a provider did.</summary>
    public static string? Of(string? text) =>
        text is { Length: > 0 and <= MaxLength } && text != "auto"
            && text.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-' or '.')
            ? text : null;
}
