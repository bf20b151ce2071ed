namespace Fairlead.Server.Failover;

/// <summary>
/// The one right response of all simulated providers, so that a response from any of them, or from several, can be compared.
/// </summary>
internal static class SimulatedText
{
    /// <summary>Tokens that the providers report.</summary>
    public const int InputTokens = 17;

    /// <inheritdoc cref="InputTokens"/>
    public const int OutputTokens = 24;

    /// <summary>The model that is reported by mistake.</summary>
    public const string WrongModel = "some-other-model-0001";

    /// <summary>The fragments in which it is streamed.</summary>
    public static readonly IReadOnlyList<string> Pieces =
    [
        "The ", "quick ", "brown ", "fox ", "jumps ", "over ", "the ", "lazy ", "dog. ", "Zwölf ", "Boxkämpfer ", "jagen ", "Viktor ",
        "quer ", "über ", "den ", "Sylter ", "Deich. ", "いろは", "にほへと ", "\"quoted\" ", "\\ and ", "🦊 ", "end.",
    ];

    /// <summary>The whole text.</summary>
    public static readonly string Whole = string.Concat(Pieces);

    /// <summary>The fragments that continue a text of the assistant; all of them if that is not the start of the text.</summary>
    public static IReadOnlyList<string> After(string? prefill)
    {
        var known = prefill?.TrimEnd() ?? "";
        if (known.Length == 0 || !Whole.StartsWith(known, StringComparison.Ordinal)) return Pieces;
        // A provider that got the text without the white space at its end writes it first.
        var rest = Whole[(Whole.StartsWith(prefill!, StringComparison.Ordinal) ? prefill!.Length : known.Length)..];
        return [.. rest.Split(' ').Select((word, i) => i == 0 ? word : " " + word).Where(piece => piece.Length > 0)];
    }
}
