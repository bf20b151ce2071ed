using System.Text.Json;
using Fairlead.Conversation;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Between Anthropic's <c>stop_reason</c> and the inner language (CONTRACTS 4.7).</summary>
internal static class StopReasons
{
    public static FinishReason Read(string? reason) => reason switch
    {
        "max_tokens" or "model_context_window_exceeded" => FinishReason.Length,
        "tool_use" => FinishReason.ToolCalls,
        "refusal" => FinishReason.ContentFilter,
        // end_turn, stop_sequence, pause_turn, and whatever a later date brings.
        _ => FinishReason.Stop,
    };

    /// <summary>The reason at which <paramref name="json"/> stands.</summary>
    public static FinishReason Read(in Utf8JsonReader json)
    {
        if (json.ValueTextEquals("end_turn"u8)) return FinishReason.Stop;
        if (json.ValueTextEquals("tool_use"u8)) return FinishReason.ToolCalls;
        if (json.ValueTextEquals("max_tokens"u8) || json.ValueTextEquals("model_context_window_exceeded"u8)) return FinishReason.Length;
        return json.ValueTextEquals("refusal"u8) ? FinishReason.ContentFilter : FinishReason.Stop;
    }

    public static string Write(FinishReason reason, string? stopSequence) => reason switch
    {
        FinishReason.Length => "max_tokens",
        FinishReason.ToolCalls => "tool_use",
        FinishReason.ContentFilter => "refusal",
        _ => stopSequence is null ? "end_turn" : "stop_sequence",
    };
}
