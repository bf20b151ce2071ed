namespace Fairlead.Pipeline;

/// <summary>
/// Warns of a provider's seal on its reasoning (Anthropic's <c>signature</c> and <c>redacted_thinking</c>, Gemini's
/// <c>thoughtSignature</c>) that the client's dialect cannot express. Without the seal, the next turn of a tool loop cannot return the
/// reasoning.
/// </summary>
internal static class SealWarning
{
    public const string Code = "reasoning_seal_omitted";

    public const string Message =
        "The model sealed its reasoning, which this dialect cannot express. The seal was left out, so later turns are sent without that "
        + "reasoning.";

    public static void Add(GatewayCall call) => call.Warn(Code, Message);
}
