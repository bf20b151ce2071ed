using System.Text;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Ledger;
using Fairlead.Pipeline;
using Fairlead.Providers.OpenAi;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Reads usage, finish and size out of a provider's Response object.</summary>
internal static class ResponsesAnswerScanner
{
    /// <returns>False when the body is no finished response.</returns>
    public static bool Scan(ReadOnlySpan<byte> body, AnswerMeter meter)
    {
        try
        {
            var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = 512 });
            using var document = JsonDocument.ParseValue(ref reader);
            return document.RootElement.ValueKind == JsonValueKind.Object && Scan(document.RootElement, meter, countOutput: true);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return false;
        }
    }

    /// <summary>The same of a compaction, which is finished when it is there.</summary>
    public static bool ScanCompaction(ReadOnlySpan<byte> body, AnswerMeter meter)
    {
        try
        {
            var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = 512 });
            using var document = JsonDocument.ParseValue(ref reader);
            var answer = document.RootElement;
            if (answer.ValueKind != JsonValueKind.Object || OpenAiWire.Text(answer, "object") != "response.compaction" || !OpenAiWire.Has(answer, "output", JsonValueKind.Array, out var output)) return false;
            var bytes = 0;
            foreach (var item in output.EnumerateArray())
            {
                if (item.ValueKind != JsonValueKind.Object) return false;
                // Of what is sealed the length alone can be seen.
                bytes += SizeOf(item) + (OpenAiWire.Text(item, "encrypted_content")?.Length ?? 0);
            }
            if (bytes > 0) meter.AddOutput(bytes);
            if (ReadUsage(answer) is { } usage) meter.ReportUsage(usage);
            meter.Finish(FinishReason.Stop, 0);
            return true;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return false;
        }
    }

    /// <param name="response">The object.</param>
    /// <param name="meter">Gets what is found.</param>
    /// <param name="countOutput">Whether the output's size is taken in; false when its deltas were.</param>
    public static bool Scan(JsonElement response, AnswerMeter meter, bool countOutput)
    {
        if (OpenAiWire.Text(response, "object") != "response" || !OpenAiWire.Has(response, "output", JsonValueKind.Array, out var output)) return false;
        var called = false;
        var bytes = 0;
        foreach (var item in output.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Object) return false;
            called |= OpenAiWire.Text(item, "type") is "function_call" or "custom_tool_call";
            if (countOutput) bytes += SizeOf(item);
        }
        FinishReason reason;
        switch (OpenAiWire.Text(response, "status"))
        {
            case "completed": reason = called ? FinishReason.ToolCalls : FinishReason.Stop; break;
            case "incomplete":
                var why = OpenAiWire.Has(response, "incomplete_details", JsonValueKind.Object, out var details) ? OpenAiWire.Text(details, "reason") : null;
                reason = why == "content_filter" ? FinishReason.ContentFilter : FinishReason.Length;
                break;
            default: return false;
        }
        if (bytes > 0) meter.AddOutput(bytes);
        if (ReadUsage(response) is { } usage) meter.ReportUsage(usage);
        if (OpenAiWire.Text(response, "model") is { Length: <= 256 } model) meter.UpstreamModel = model;
        meter.Finish(reason, 0);
        return true;
    }

    private static int SizeOf(JsonElement item)
    {
        var bytes = 0;
        foreach (var member in item.EnumerateObject())
        {
            if (member.Value.ValueKind == JsonValueKind.String && member.Name is "arguments" or "input" or "text" or "refusal" or "code")
            {
                bytes += member.Value.ValueKind == JsonValueKind.String ? Encoding.UTF8.GetByteCount(member.Value.GetString()!) : 0;
            }
            else if (member.Name is "content" or "summary" && member.Value.ValueKind == JsonValueKind.Array)
            {
                foreach (var part in member.Value.EnumerateArray())
                {
                    if (part.ValueKind == JsonValueKind.Object) bytes += SizeOf(part);
                }
            }
        }
        return bytes;
    }

    private static Usage? ReadUsage(JsonElement response)
    {
        if (!OpenAiWire.Has(response, "usage", JsonValueKind.Object, out var usage)) return null;
        var input = OpenAiWire.Count(usage, "input_tokens");
        var output = OpenAiWire.Count(usage, "output_tokens");
        long cached = 0, written = 0, reasoning = 0;
        if (OpenAiWire.Has(usage, "input_tokens_details", JsonValueKind.Object, out var details))
        {
            cached = Math.Min(input, OpenAiWire.Count(details, "cached_tokens"));
            written = Math.Min(input - cached, OpenAiWire.Count(details, "cache_write_tokens"));
        }
        if (OpenAiWire.Has(usage, "output_tokens_details", JsonValueKind.Object, out details)) reasoning = Math.Min(output, OpenAiWire.Count(details, "reasoning_tokens"));
        return new Usage(input, output) { CachedInputTokens = cached, CacheWriteTokens = written, ReasoningTokens = reasoning };
    }
}
