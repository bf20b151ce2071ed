using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Generations;

/// <summary>Makes the members of the generation object that are known when it ends.</summary>
internal static class GenerationDetails
{
    /// <summary>Members that the <c>fairlead</c> object of other dialects has too.</summary>
    public static readonly string[] FromMetadata = ["usage", "cost", "timing_ms", "quality", "attempts", "warnings"];

    /// <param name="call">The ended call.</param>
    /// <param name="answer">What was made, in the inner language; null where the answer only exists in the client's dialect.</param>
    /// <param name="error">Why it failed, or null.</param>
    public static byte[] Of(GatewayCall call, Answer? answer, GatewayError? error)
    {
        var details = new JsonObject
        {
            ["model"] = call.Answering is null ? null : call.Model.Id,
            ["provider"] = call.Answering?.Deployment.ProviderName,
            ["output"] = answer is null ? null : Items(answer),
            ["output_text"] = answer is null ? null : Text(answer),
        };
        using var buffer = new PooledBuffer();
        FairleadObjectWriter.WriteFinal(call, buffer);
        if (JsonNode.Parse(buffer.WrittenSpan) is JsonObject metadata)
        {
            foreach (var name in FromMetadata)
            {
                metadata.Remove(name, out var value);
                details[name] = value;
            }
        }
        if (call.Violations is { } violations)
        {
            details["violations"] = new JsonArray([.. violations.Select(one => (JsonNode)new JsonObject { ["pointer"] = one.Pointer, ["detail"] = one.Detail })]);
        }
        details["error"] = error is null ? null : Problem(call.RequestId, call.Site, error);
        return Encoding.UTF8.GetBytes(details.ToJsonString());
    }

    /// <summary>The details of a generation that ended without having run.</summary>
    public static byte[] Of(string requestId, PublicAddress site, GatewayError error)
    {
        var details = new JsonObject { ["model"] = null, ["provider"] = null, ["output"] = null, ["output_text"] = null };
        foreach (var name in FromMetadata) details[name] = null;
        details["error"] = Problem(requestId, site, error);
        return Encoding.UTF8.GetBytes(details.ToJsonString());
    }

    private static JsonNode? Problem(string requestId, PublicAddress site, GatewayError error)
    {
        using var buffer = new PooledBuffer();
        ErrorBodyWriter.WriteBody(buffer, error, ErrorShape.Problem, requestId, site);
        return JsonNode.Parse(buffer.WrittenSpan);
    }

    private static string? Text(Answer answer)
    {
        if (answer.Choices.Count == 0) return null;
        var text = new StringBuilder();
        foreach (var part in answer.Choices[0].Parts)
        {
            if (part is TextPart words) text.Append(words.Text);
        }
        return text.ToString();
    }

    private static JsonArray Items(Answer answer)
    {
        var items = new JsonArray();
        foreach (var choice in answer.Choices)
        {
            JsonArray? content = null;
            foreach (var part in choice.Parts)
            {
                JsonObject? item = part switch
                {
                    ToolCallPart call => new JsonObject { ["type"] = "tool_call", ["id"] = call.Id, ["name"] = call.Name, ["arguments"] = call.Arguments },
                    ReasoningPart { Redacted: null } reasoning => new JsonObject { ["type"] = "reasoning", ["text"] = reasoning.Text },
                    _ => null,
                };
                JsonObject? piece = part switch
                {
                    TextPart text => new JsonObject { ["type"] = "text", ["text"] = text.Text },
                    RefusalPart refusal => new JsonObject { ["type"] = "refusal", ["text"] = refusal.Text },
                    _ => null,
                };
                if (piece is not null)
                {
                    if (content is null)
                    {
                        content = [];
                        var message = new JsonObject { ["type"] = "message", ["role"] = "assistant", ["content"] = content };
                        if (answer.Choices.Count > 1) message["choice"] = choice.Index;
                        items.Add(message);
                    }
                    content.Add(piece);
                }
                if (item is null) continue;
                content = null;
                if (answer.Choices.Count > 1) item["choice"] = choice.Index;
                items.Add(item);
            }
        }
        return items;
    }
}
