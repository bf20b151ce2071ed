using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.Quirks;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Reads usage, finish reason and size from a provider's Response object.</summary>
internal static class ResponsesResponseScanner
{
    /// <returns>False when the body is not a finished response.</returns>
    public static bool Scan(ReadOnlySpan<byte> body, OutputMeter meter)
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

    /// <summary>The same for a compaction, which is always finished.</summary>
    public static bool ScanCompaction(ReadOnlySpan<byte> body, OutputMeter meter)
    {
        try
        {
            var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = 512 });
            using var document = JsonDocument.ParseValue(ref reader);
            var answer = document.RootElement;
            if (answer.ValueKind != JsonValueKind.Object || OpenAiWire.Text(answer, "object") != "response.compaction"
                || !OpenAiWire.Has(answer, "output", JsonValueKind.Array, out var output))
            {
                return false;
            }
            var made = new OutputTally();
            foreach (var item in output.EnumerateArray())
            {
                if (item.ValueKind != JsonValueKind.Object) return false;
                Add(item, ref made);
                // Only the length of encrypted content is known.
                made.Add(OpenAiWire.Text(item, "encrypted_content")?.Length ?? 0);
            }
            if (made.Bytes > 0) meter.AddOutput(made);
            if (OpenAiWire.ReadUsage(answer) is { } usage) meter.ReportUsage(usage);
            meter.ReportTier(OpenAiWire.ServiceTier(answer));
            meter.Finish(FinishReason.Stop, 0);
            return true;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return false;
        }
    }

    /// <param name="response">The object.</param>
    /// <param name="meter">Receives the result.</param>
    /// <param name="countOutput">Whether the output's size is counted; false when its deltas were.</param>
    public static bool Scan(JsonElement response, OutputMeter meter, bool countOutput)
    {
        if (OpenAiWire.Text(response, "object") != "response" || !OpenAiWire.Has(response, "output", JsonValueKind.Array, out var output))
        {
            return false;
        }
        var (called, ranTools) = (false, false);
        var made = new OutputTally();
        foreach (var item in output.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Object) return false;
            var type = OpenAiWire.Text(item, "type");
            called |= type is "function_call" or "custom_tool_call";
            ranTools |= type is "web_search_call" or "file_search_call" or "code_interpreter_call" or "mcp_call" or "image_generation_call";
            if (countOutput) Add(item, ref made);
        }
        FinishReason reason;
        switch (OpenAiWire.Text(response, "status"))
        {
            case "completed": reason = called ? FinishReason.ToolCalls : FinishReason.Stop; break;
            case "incomplete":
                var why = OpenAiWire.Has(response, "incomplete_details", JsonValueKind.Object, out var details)
                    ? OpenAiWire.Text(details, "reason")
                    : null;
                reason = why == "content_filter" ? FinishReason.ContentFilter : FinishReason.Length;
                break;
            case var word:
                // An unknown reason is a failure, which is quoted.
                if (FinishReasonTable.Of(word) == FinishMeaning.Failed
                    && word is not ("failed" or "cancelled" or "in_progress" or "queued"))
                {
                    meter.FailedReason = word;
                }
                return false;
        }
        // An empty body is not a response.
        if (reason == FinishReason.Stop && output.GetArrayLength() == 0) return false;
        if (made.Bytes > 0) meter.AddOutput(made);
        if (OpenAiWire.ReadUsage(response) is { } usage) meter.ReportUsage(ranTools ? usage.WithTools() : usage);
        meter.ReportTier(OpenAiWire.ServiceTier(response));
        if (OpenAiWire.Text(response, "model") is { Length: <= 256 } model) meter.UpstreamModel = model;
        meter.Finish(reason, 0);
        return true;
    }

    private static void Add(JsonElement item, ref OutputTally made)
    {
        foreach (var member in item.EnumerateObject())
        {
            if (member.Value.ValueKind == JsonValueKind.String && member.Name is "arguments" or "input" or "text" or "refusal" or "code")
            {
                made.Add(member.Value.GetString(), isArguments: member.Name is "arguments" or "input");
            }
            else if (member.Name is "content" or "summary" && member.Value.ValueKind == JsonValueKind.Array)
            {
                foreach (var part in member.Value.EnumerateArray())
                {
                    if (part.ValueKind == JsonValueKind.Object) Add(part, ref made);
                }
            }
        }
    }
}
