using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiCompletions;

/// <summary>Content of a response that plain text cannot hold: left out with a warning.</summary>
internal static class CompletionsOmissions
{
    public static void Reasoning(GatewayCall call) =>
        call.Warn("reasoning_omitted", "This API cannot represent the model's reasoning; it was left out.");

    public static void ToolCalls(GatewayCall call) =>
        call.Warn("tool_calls_omitted", "This API cannot represent tool calls; a tool call of the model was left out.");

    public static void Annotations(GatewayCall call) =>
        call.Warn("annotations_omitted", "This API cannot represent the annotations of the response; they were left out.");

    public static void Audio(GatewayCall call) =>
        call.Warn("output_omitted", "This API cannot represent the audio of the response; it was left out.");
}
