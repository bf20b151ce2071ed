using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects.Quirks;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Maps Anthropic's <c>stop_reason</c> to the canonical model and back.</summary>
internal static class StopReasons
{
    /// <summary>The reason at the position of <paramref name="json"/>.</summary>
    /// <param name="json">The reader.</param>
    /// <param name="isAnthropic">Whether Anthropic itself uses this value.</param>
    public static FinishMeaning Read(in Utf8JsonReader json, out bool isAnthropic)
    {
        isAnthropic = true;
        if (json.ValueTextEquals("end_turn"u8) || json.ValueTextEquals("stop_sequence"u8) || json.ValueTextEquals("pause_turn"u8)
            || json.ValueTextEquals("compaction"u8))
        {
            return FinishMeaning.Stop;
        }
        if (json.ValueTextEquals("tool_use"u8)) return FinishMeaning.ToolCalls;
        if (json.ValueTextEquals("max_tokens"u8) || json.ValueTextEquals("model_context_window_exceeded"u8)) return FinishMeaning.Length;
        if (json.ValueTextEquals("refusal"u8)) return FinishMeaning.ContentFilter;
        isAnthropic = false;
        return FinishReasonTable.Of(json.GetString());
    }

    public static string Write(FinishReason reason, string? stopSequence) => reason switch
    {
        FinishReason.Length => "max_tokens",
        FinishReason.ToolCalls => "tool_use",
        FinishReason.ContentFilter => "refusal",
        _ => stopSequence is null ? "end_turn" : "stop_sequence",
    };
}
