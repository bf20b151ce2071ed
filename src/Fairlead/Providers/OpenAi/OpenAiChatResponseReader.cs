using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.Quirks;
using Fairlead.TokenCounting;

namespace Fairlead.Providers.OpenAi;

/// <summary>Reads a whole OpenAI chat response into the canonical model.</summary>
internal static class OpenAiChatResponseReader
{
    /// <param name="stops">The stop sequences of the request.</param>
    /// <returns>Null when the body is not such a response. Usage, finish and size go to the meter.</returns>
    public static ModelResponse? Read(ReadOnlyMemory<byte> body, OutputMeter meter, IReadOnlyList<string> stops)
    {
        try
        {
            if (ChatNormaliser.RepairWhole(body.Span, isChat: true, meter.CreatedAt, meter) is { } repaired) body = repaired;
            using var document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = 512 });
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object || !OpenAiWire.Has(root, "choices", JsonValueKind.Array, out var list)
                || list.GetArrayLength() == 0)
            {
                return null;
            }
            var choices = new List<OutputChoice>(list.GetArrayLength());
            foreach (var choice in list.EnumerateArray())
            {
                if (choice.ValueKind != JsonValueKind.Object || !OpenAiWire.Has(choice, "message", JsonValueKind.Object, out var message))
                {
                    return null;
                }
                if (OpenAiWire.FinishText(choice) is { } reason && FinishReasonTable.Of(reason) == FinishMeaning.Failed)
                {
                    meter.FailedReason = reason;
                }
                choices.Add(Choice(choice, message, choices.Count, stops));
            }
            if (choices.Exists(choice => choice.FinishReason is null)) return null;
            foreach (var choice in choices) Observe(choice, meter);
            if (OpenAiWire.ReadUsage(root) is { } usage) meter.ReportUsage(usage);
            meter.ReportTier(OpenAiWire.ServiceTier(root));
            meter.UpstreamModel = OpenAiWire.Text(root, "model");
            var answer = new ModelResponse(choices)
            {
                SystemFingerprint = OpenAiWire.Text(root, "system_fingerprint"),
                ServiceTier = OpenAiWire.Text(root, "service_tier"),
            };
            meter.Kept = answer;
            return answer;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // The latter for strings with half a surrogate pair: valid JSON, but not text.
            return null;
        }
    }

    private static OutputChoice Choice(JsonElement choice, JsonElement message, int position, IReadOnlyList<string> stops)
    {
        var parts = new List<Part>();
        if (OpenAiWire.Reasoning(message) is { Length: > 0 } reasoning) parts.Add(new ReasoningPart(reasoning, null));
        if (OpenAiWire.Text(message, "content") is { Length: > 0 } text)
        {
            parts.Add(new TextPart(text));
        }
        else if (OpenAiWire.Has(message, "content", JsonValueKind.Array, out var pieces))
        {
            AddPieces(parts, pieces);
        }
        if (OpenAiWire.Text(message, "refusal") is { Length: > 0 } refusal) parts.Add(new RefusalPart(refusal));
        var called = false;
        if (OpenAiWire.Has(message, "tool_calls", JsonValueKind.Array, out var calls))
        {
            foreach (var call in calls.EnumerateArray())
            {
                if (Call(call, position, parts.Count) is not { } read) continue;
                parts.Add(read);
                called = true;
            }
        }
        else if (OpenAiWire.Has(message, "function_call", JsonValueKind.Object, out var legacy)
            && OpenAiWire.Text(legacy, "name") is { } name)
        {
            parts.Add(new ToolCallPart($"call_function_{position}", name, OpenAiWire.Text(legacy, "arguments") ?? ""));
            called = true;
        }
        return new OutputChoice(
            choice.TryGetProperty("index", out var index) && index.ValueKind == JsonValueKind.Number && index.TryGetInt32(out var at)
                && at >= 0 ? at : position,
            parts,
            OpenAiWire.Finish(OpenAiWire.FinishText(choice) ?? "stop", called))
        {
            StopSequence = OpenAiWire.StopSequence(choice, stops),
            Logprobs = OpenAiWire.Logprobs(choice),
            Annotations = OpenAiWire.Has(message, "annotations", JsonValueKind.Array, out var annotations)
                && annotations.GetArrayLength() > 0 ? (JsonArray)OpenAiWire.Copy(annotations) : null,
            Audio = OpenAiWire.Has(message, "audio", JsonValueKind.Object, out var audio) ? (JsonObject)OpenAiWire.Copy(audio) : null,
        };
    }

    // Mistral's reasoning models respond with a list of parts.
    private static void AddPieces(List<Part> parts, JsonElement pieces)
    {
        foreach (var piece in pieces.EnumerateArray())
        {
            if (piece.ValueKind != JsonValueKind.Object) continue;
            if (OpenAiWire.Has(piece, "thinking", JsonValueKind.Array, out var thoughts))
            {
                foreach (var thought in thoughts.EnumerateArray())
                {
                    if (thought.ValueKind == JsonValueKind.Object && OpenAiWire.Text(thought, "text") is { Length: > 0 } thinking)
                    {
                        parts.Add(new ReasoningPart(thinking, null));
                    }
                }
            }
            else if (OpenAiWire.Text(piece, "text") is { Length: > 0 } text)
            {
                parts.Add(new TextPart(text));
            }
        }
    }

    private static ToolCallPart? Call(JsonElement call, int choice, int position)
    {
        if (call.ValueKind != JsonValueKind.Object) return null;
        var id = OpenAiWire.Text(call, "id") is { Length: > 0 } given ? given : $"call_{choice}_{position}";
        if (OpenAiWire.Has(call, "custom", JsonValueKind.Object, out var custom) && OpenAiWire.Text(custom, "name") is { } customName)
        {
            return new ToolCallPart(id, customName, OpenAiWire.Text(custom, "input") ?? "") { Kind = ToolKind.Custom };
        }
        if (!OpenAiWire.Has(call, "function", JsonValueKind.Object, out var function) || OpenAiWire.Text(function, "name") is not { } name)
        {
            return null;
        }
        // Some servers send the arguments as an object instead of its text.
        var arguments = OpenAiWire.Text(function, "arguments")
            ?? (OpenAiWire.Has(function, "arguments", JsonValueKind.Object, out var value) ? value.GetRawText() : "");
        return new ToolCallPart(id, name, arguments);
    }

    private static void Observe(OutputChoice choice, OutputMeter meter)
    {
        foreach (var part in choice.Parts)
        {
            var output = new OutputTally();
            switch (part)
            {
                case TextPart text: output.Add(text.Text, isArguments: false); break;
                case ReasoningPart reasoning: output.Add(reasoning.Text, isArguments: false); break;
                case RefusalPart refusal: output.Add(refusal.Text, isArguments: false); break;
                case ToolCallPart call:
                    output.Add(call.Name, isArguments: true);
                    output.Add(call.Arguments, isArguments: true);
                    break;
            }
            meter.AddOutput(output);
        }
        if (choice.Audio is not null) meter.AddOutput(0);
        foreach (var logprob in choice.Logprobs ?? []) meter.AddLogprob(logprob.Logprob);
        if (choice.FinishReason is { } reason) meter.Finish(reason, meter.FinishedChoices);
    }
}
