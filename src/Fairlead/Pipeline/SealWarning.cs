namespace Fairlead.Pipeline;

/// <summary>
/// A provider's seal on its thinking (Anthropic's <c>signature</c> and <c>redacted_thinking</c>, Gemini's <c>thoughtSignature</c>) that the client's dialect has no place for.
/// Without it the next turn cannot give the thinking back, which is worth knowing in a tool loop.
/// </summary>
internal static class SealWarning
{
    public const string Code = "reasoning_seal_omitted";

    public const string Message = "The model sealed its thinking, which has no form in this dialect; the seal was left out, so a later turn reaches the model without that thinking.";

    public static void Add(GatewayCall call) => call.Warn(Code, Message);
}
