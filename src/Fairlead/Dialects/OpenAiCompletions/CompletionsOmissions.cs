using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiCompletions;

/// <summary>What an answer may hold that plain text cannot: left out, and said so.</summary>
internal static class CompletionsOmissions
{
    public static void Reasoning(GatewayCall call) => call.Warn("reasoning_omitted", "The model's reasoning has no form in this dialect and was left out.");

    public static void ToolCalls(GatewayCall call) => call.Warn("tool_calls_omitted", "The model asked for a tool, which has no form in this dialect; the call was left out.");

    public static void Annotations(GatewayCall call) => call.Warn("annotations_omitted", "The answer's annotations have no form in this dialect and were left out.");

    public static void Audio(GatewayCall call) => call.Warn("output_omitted", "The model spoke, which has no form in this dialect; the audio was left out.");
}
