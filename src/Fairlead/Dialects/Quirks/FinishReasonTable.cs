using System.Collections.Frozen;
using System.Text.Json;
using Fairlead.Conversation;

namespace Fairlead.Dialects.Quirks;

/// <summary>The meaning of a provider's finish reason.</summary>
internal enum FinishMeaning : byte
{
    /// <summary>No reason yet: null, an empty string or the word null.</summary>
    None,
    Stop,
    ToolCalls,
    Length,
    ContentFilter,

    /// <summary>The provider stopped before the response was complete, or the reason is unknown.</summary>
    Failed,
}

/// <summary>
/// The one table of vendors' finish reasons. Case does not matter. An unknown reason is a failure: the response may be incomplete.
/// </summary>
internal static class FinishReasonTable
{
    private static readonly FrozenDictionary<string, FinishMeaning> Table = new (FinishMeaning Meaning, string[] Values)[]
    {
        (FinishMeaning.None, ["", "null", "none", "FINISH_REASON_UNSPECIFIED", "not_finished"]),
        (FinishMeaning.Stop, ["stop", "eos", "eos_token", "eos_found", "stop_token", "stop_sequence", "stop_word", "stop_criteria",
            "end_turn", "end", "endoftext", "end_of_text", "eot", "eos_id", "pause_turn", "compaction", "complete", "completed", "finish",
            "finished", "done"]),
        (FinishMeaning.Length, ["length", "max_tokens", "max_length", "max_output_tokens", "max_new_tokens", "model_length",
            "model_context_window_exceeded", "context_length", "context_window_exceeded", "token_limit", "length_limit"]),
        (FinishMeaning.ToolCalls, ["tool_calls", "tool_call", "function_call", "function_calls", "tool_use", "tool-calls"]),
        (FinishMeaning.ContentFilter, [
            "content_filter", "content-filter", "content_filtered", "content_blocked", "refusal", "safety", "sensitive",
            "guardrail_intervened", "error_toxic", "recitation", "blocklist",
            "prohibited_content", "spii", "language", "image_safety", "image_prohibited_content", "image_recitation", "moderation"]),
    }.SelectMany(row => row.Values, (row, word) => KeyValuePair.Create(word, row.Meaning))
        .ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);

    /// <summary>All values of the table, for its test.</summary>
    public static IReadOnlyDictionary<string, FinishMeaning> All => Table;

    public static FinishMeaning Of(string? word) =>
        word is null ? FinishMeaning.None : Table.GetValueOrDefault(word.Trim(), FinishMeaning.Failed);

    /// <summary>The meaning of the string at the position of <paramref name="json"/>.</summary>
    /// <param name="json">The reader.</param>
    /// <param name="isOpenAi">Whether it is one of the values that OpenAI itself uses.</param>
    public static FinishMeaning Of(in Utf8JsonReader json, out bool isOpenAi)
    {
        isOpenAi = true;
        if (json.ValueTextEquals("stop"u8)) return FinishMeaning.Stop;
        if (json.ValueTextEquals("tool_calls"u8) || json.ValueTextEquals("function_call"u8)) return FinishMeaning.ToolCalls;
        if (json.ValueTextEquals("length"u8)) return FinishMeaning.Length;
        if (json.ValueTextEquals("content_filter"u8)) return FinishMeaning.ContentFilter;
        isOpenAi = false;
        return Of(json.GetString());
    }

    /// <summary>Null while there is no reason, and where the provider failed.</summary>
    public static FinishReason? ToReason(FinishMeaning meaning) => meaning switch
    {
        FinishMeaning.Stop => FinishReason.Stop,
        FinishMeaning.ToolCalls => FinishReason.ToolCalls,
        FinishMeaning.Length => FinishReason.Length,
        FinishMeaning.ContentFilter => FinishReason.ContentFilter,
        _ => null,
    };

    /// <summary>OpenAI's value.</summary>
    public static string OpenAi(FinishMeaning meaning) => meaning switch
    {
        FinishMeaning.ToolCalls => "tool_calls",
        FinishMeaning.Length => "length",
        FinishMeaning.ContentFilter => "content_filter",
        _ => "stop",
    };

    /// <summary>The more specific of two: truncated or filtered output must not look like a plain stop.</summary>
    public static FinishMeaning Stronger(FinishMeaning one, FinishMeaning other) => one > other ? one : other;
}
