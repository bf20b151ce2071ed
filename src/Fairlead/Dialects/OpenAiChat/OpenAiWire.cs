using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects.Quirks;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>
/// Pieces of OpenAI's responses that whole bodies and chunks share, read into the canonical model. Tolerant: a field of an unexpected type
/// counts as absent.
/// </summary>
internal static class OpenAiWire
{
    public static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    public static bool Has(JsonElement element, string name, JsonValueKind kind, out JsonElement value) =>
        element.TryGetProperty(name, out value) && value.ValueKind == kind;

    public static long Count(JsonElement element, string name)
    {
        if (!Has(element, name, JsonValueKind.Number, out var value)) return 0;
        if (value.TryGetInt64(out var count)) return Math.Max(0, count);
        // Some servers write 12.0.
        return value.TryGetDouble(out var number) && number is >= 0 and < 1e15 ? (long)number : 0;
    }

    /// <summary>The service tier in which the provider worked; null if it does not say.</summary>
    public static string? ServiceTier(JsonElement root) => ServiceTierName.Of(Text(root, "service_tier"));

    /// <summary>Reasoning text under either of the usual names.</summary>
    public static string? Reasoning(JsonElement message) => Text(message, "reasoning_content") ?? Text(message, "reasoning");

    /// <summary>
    /// The caller's own stop sequence that ended a choice, as vLLM and similar servers report it. Servers put other values there too (a
    /// token's number, <c>eos</c>, <c>stop</c>), so only a requested stop sequence counts.
    /// </summary>
    public static string? StopSequence(JsonElement choice, IReadOnlyList<string> asked) =>
        Text(choice, "stop_reason") is { } reason && asked.Contains(reason, StringComparer.Ordinal) ? reason : null;

    /// <summary>
    /// Why a choice ended, or null while it has not: some servers write an empty string or the word null while there is no reason.
    /// </summary>
    public static string? FinishText(JsonElement choice) =>
        Text(choice, "finish_reason") is { Length: > 0 } reason && reason != "null" ? reason : null;

    /// <summary>
    /// Null for the values by which servers report that they stopped early (DeepSeek, OpenRouter, Mistral, vLLM): that is not a finish.
    /// </summary>
    public static FinishReason? Finish(string reason, bool calledTools) => FinishReasonTable.ToReason(FinishReasonTable.Of(reason)) switch
    {
        // Some servers report "stop" after tool calls, and "tool_calls" without any; the calls that are present decide.
        FinishReason.Stop or FinishReason.ToolCalls => calledTools ? FinishReason.ToolCalls : FinishReason.Stop,
        var other => other,
    };

    /// <summary>The usage in a body or chunk, in any of the places that servers use; null when there is none.</summary>
    public static UsageReport? ReadUsage(JsonElement root)
    {
        UsageReport? report = null;
        if (Has(root, "choices", JsonValueKind.Array, out var choices))
        {
            foreach (var choice in choices.EnumerateArray())
            {
                if (choice.ValueKind == JsonValueKind.Object) Add(choice, "usage");
            }
        }
        if (Has(root, "x_groq", JsonValueKind.Object, out var groq)) Add(groq, "usage");
        Add(root, "usageMetadata");
        Add(root, "usage");
        // Ollama's counts are at the top level.
        if (report is null && (root.TryGetProperty("eval_count", out _) || root.TryGetProperty("prompt_eval_count", out _)))
        {
            report = UsageReport.Read(root);
        }
        return report;

        void Add(JsonElement owner, string name)
        {
            if (owner.TryGetProperty(name, out var usage) && UsageReport.Read(usage) is { } read)
            {
                report = report is null ? read : report.Then(read);
            }
        }
    }

    /// <summary>Entries for text and for refusals, in this order; null when there are none.</summary>
    public static List<TokenLogprob>? Logprobs(JsonElement choice)
    {
        if (!Has(choice, "logprobs", JsonValueKind.Object, out var logprobs)) return null;
        List<TokenLogprob>? result = null;
        foreach (var name in (ReadOnlySpan<string>)["content", "refusal"])
        {
            if (!Has(logprobs, name, JsonValueKind.Array, out var entries)) continue;
            foreach (var entry in entries.EnumerateArray())
            {
                if (Logprob(entry) is { } read) (result ??= []).Add(read);
            }
        }
        return result;
    }

    public static JsonNode Copy(JsonElement element) => JsonNode.Parse(element.GetRawText())!;

    private static TokenLogprob? Logprob(JsonElement entry)
    {
        if (entry.ValueKind != JsonValueKind.Object || Text(entry, "token") is not { } token
            || !Has(entry, "logprob", JsonValueKind.Number, out var logprob))
        {
            return null;
        }
        var top = new List<TokenLogprob>();
        if (Has(entry, "top_logprobs", JsonValueKind.Array, out var alternatives))
        {
            foreach (var alternative in alternatives.EnumerateArray())
            {
                if (Logprob(alternative) is { } read) top.Add(read);
            }
        }
        byte[]? bytes = null;
        if (Has(entry, "bytes", JsonValueKind.Array, out var list))
        {
            bytes = new byte[list.GetArrayLength()];
            var i = 0;
            foreach (var value in list.EnumerateArray())
            {
                if (value.ValueKind != JsonValueKind.Number || !value.TryGetByte(out bytes[i++]))
                {
                    return new TokenLogprob(token, logprob.GetDouble(), top);
                }
            }
        }
        return new TokenLogprob(token, logprob.GetDouble(), top) { Bytes = bytes };
    }
}
