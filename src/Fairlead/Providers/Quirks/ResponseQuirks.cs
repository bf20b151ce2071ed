namespace Fairlead.Providers.Quirks;

/// <summary>What servers send that their specification does not allow. The same treatment applies on the native and on the translating path.</summary>
internal static class ResponseQuirks
{
    private const string Test = "ResponseQuirkTests.Response_WithQuirk_IsTreatedAsListed";

    public static readonly IReadOnlyList<Quirk> All =
    [
        new("tool-call-without-index", "A streamed tool call has no `index`", "Gemini's OpenAI interface, older Ollama", QuirkTreatment.Repaired,
            "A new id opens a new call. A fragment without an id belongs to the call that is open.", Test),
    ];
}
