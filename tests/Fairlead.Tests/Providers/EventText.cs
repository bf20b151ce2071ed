using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Generations;

namespace Fairlead.Tests.Providers;

/// <summary>Events and responses as readable JSON for golden files.</summary>
internal static class EventText
{
    public static JsonArray Of(IEnumerable<GenerationEvent> events) => new([.. events.Select(e => (JsonNode)Of(e))]);

    public static string Of(ModelResponse answer) => new JsonArray([.. answer.Choices.Select(c => (JsonNode)new JsonObject
    {
        ["index"] = c.Index,
        ["finish"] = c.FinishReason?.ToString(),
        ["parts"] = new JsonArray([.. c.Parts.Select(p => (JsonNode)Of(p))]),
        ["logprobs"] = c.Logprobs is { } l ? Of(l) : null,
    })]).ToJsonString();

    private static string Of(Part part) => part switch
    {
        TextPart t => $"text: {t.Text}",
        ReasoningPart r => $"reasoning: {r.Text} [{r.Signature}]",
        RefusalPart r => $"refusal: {r.Text}",
        ToolCallPart c => $"call {c.Id} {c.Name}({c.Arguments}) [{c.Signature}]",
        _ => throw new ArgumentException(part.ToString()),
    };

    private static string Of(GenerationEvent e) => e.Choice + " " + e switch
    {
        ResponseStarted => "started",
        TextDelta t => $"text {JsonSerializer.Serialize(t.Text)}{(t.Logprobs is { } l ? " " + Of(l) : "")}",
        ReasoningDelta r => $"reasoning {JsonSerializer.Serialize(r.Text)} [{r.Signature}]",
        RefusalDelta r => $"refusal {r.Text}",
        ToolCallStarted c => $"call {c.Index} {c.Id} {c.Name} [{c.Signature}]",
        ToolCallDelta d => $"arguments {d.Index} {d.Arguments}",
        AnnotationsAdded a => $"annotations {a.Annotations.ToJsonString()}",
        ChoiceFinished f => $"finished {f.Reason}",
        UsageReported u => Of(u.Usage),
        AttemptFailed f => $"failed {f.Error.Definition.Name}: {f.Error.Message}",
        _ => throw new ArgumentException(e.ToString()),
    };

    private static string Of(Usage u) => $"usage in={u.InputTokens} cached={u.CachedInputTokens} out={u.OutputTokens} reasoning={u.ReasoningTokens} {u.Basis.ToWire()}";

    private static string Of(IReadOnlyList<TokenLogprob> list) =>
        string.Join(" ", list.Select(t => string.Create(CultureInfo.InvariantCulture, $"{t.Token}={t.Logprob}({string.Join(",", t.Top.Select(o => o.Token))})")));
}
