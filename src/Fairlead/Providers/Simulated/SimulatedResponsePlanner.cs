using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.TokenCounting;

namespace Fairlead.Providers.Simulated;

/// <summary>Decides the response of a simulated model. The same seed and request always give the same response. Pure.</summary>
internal static class SimulatedResponsePlanner
{
    // Longer texts are truncated before they are split into tokens; no token has fewer than a fifth of a character on average, and few have
    // more than 32.
    private const int MaxCharsPerToken = 128;

    /// <param name="request">The request.</param>
    /// <param name="model">The model that responds.</param>
    /// <param name="seed">Of request and provider.</param>
    /// <param name="maxTokens">Output limit of each choice.</param>
    /// <param name="isInvalid">Whether a document violates the requested schema.</param>
    public static SimulatedResponse Plan(
        ConversationRequest request, SimulatedModel model, ulong seed, int maxTokens, bool isInvalid = false)
    {
        var choices = new ChoicePlan[Math.Max(1, request.ChoiceCount)];
        for (var i = 0; i < choices.Length; i++)
        {
            choices[i] = PlanChoice(request, model, new SimulatedRandom(SimulatedRandom.Mix(seed + (ulong)i)), maxTokens, isInvalid);
        }
        return new SimulatedResponse(choices);
    }

    private static ChoicePlan PlanChoice(ConversationRequest request, SimulatedModel model, SimulatedRandom random, int maxTokens,
        bool isInvalid)
    {
        var steps = new List<Step>();
        string? signature = null;
        if (model.Task == SimulatedTask.Reason && Thinks(request.Reasoning))
        {
            var thinking = $"Let me think about this. {SentenceGenerator.Make(random, ThinkingSentences(request.Reasoning))}";
            foreach (var token in Vocabulary.O200k.Split(thinking, maxTokens)) steps.Add(new Step(StepKind.Reasoning, token));
            signature = Convert.ToBase64String(BitConverter.GetBytes(random.Next()));
        }
        var tools = ToolsToCall(request, model);
        return tools.Count > 0
            ? PlanCalls(request, tools, steps, random, maxTokens) with { Signature = signature }
            : PlanText(request, model, steps, random, maxTokens, isInvalid) with { Signature = signature };
    }

    private static ChoicePlan PlanText(ConversationRequest request, SimulatedModel model, List<Step> steps, SimulatedRandom random,
        int maxTokens, bool isInvalid)
    {
        var left = maxTokens - steps.Count;
        var text = TextOf(request, model, random, isInvalid);
        if (text.Length > (long)Math.Max(left, 1) * MaxCharsPerToken) text = text[..(Math.Max(left, 1) * MaxCharsPerToken)];
        string? stopped = null;
        foreach (var stop in request.Sampling.Stop)
        {
            if (stop.Length == 0 || text.IndexOf(stop, StringComparison.Ordinal) is not (>= 0 and var at)) continue;
            text = text[..at];
            stopped = stop;
        }
        // One more than allowed shows whether the limit truncates anything.
        var tokens = Vocabulary.O200k.Split(text, left < int.MaxValue ? left + 1 : left);
        var cut = tokens.Count > left;
        if (cut) tokens.RemoveRange(left, tokens.Count - left);
        foreach (var token in tokens)
        {
            steps.Add(new Step(StepKind.Text, token, 0, request.Sampling.Logprobs
                ? LogprobOf(token, random, request.Sampling.TopLogprobs ?? 0)
                : null));
        }
        return new ChoicePlan(steps, cut ? FinishReason.Length : FinishReason.Stop, cut ? null : stopped, []);
    }

    private static ChoicePlan PlanCalls(ConversationRequest request, IReadOnlyList<Tool> tools, List<Step> steps, SimulatedRandom random,
        int maxTokens)
    {
        var calls = new List<PlannedCall>();
        var cut = false;
        foreach (var tool in tools)
        {
            if (cut) break;
            var index = calls.Count;
            calls.Add(new PlannedCall($"call_{random.Next():x16}{(uint)random.Next():x8}", tool.Name, tool.Kind));
            var arguments = tool.Kind == ToolKind.Custom
                ? SentenceGenerator.Make(random, 1)
                : (tool.Parameters is { } schema ? SchemaInstance.Make(schema, random) as JsonObject ?? [] : []).ToJsonString();
            foreach (var (kind, text) in new[] { (StepKind.ToolName, tool.Name), (StepKind.Arguments, arguments) })
            {
                foreach (var token in Vocabulary.O200k.Split(text, Math.Max(0, maxTokens - steps.Count) + 1))
                {
                    if (steps.Count >= maxTokens)
                    {
                        cut = true;
                        break;
                    }
                    steps.Add(new Step(kind, token, index));
                }
            }
        }
        // A call is not started if the limit leaves no token for its name.
        calls.RemoveAll(c => !steps.Exists(s => s.Kind == StepKind.ToolName && calls[s.Call] == c));
        return new ChoicePlan(steps, cut ? FinishReason.Length : FinishReason.ToolCalls, null, calls);
    }

    private static string TextOf(ConversationRequest request, SimulatedModel model, SimulatedRandom random, bool isInvalid)
    {
        if (model.Task == SimulatedTask.Echo) return LastUserText(request);
        if (request.OutputFormat.Kind == OutputKind.JsonSchema && request.OutputFormat.Schema is { } schema)
        {
            var document = SchemaInstance.Make(schema, random) ?? new JsonObject();
            return (isInvalid ? Spoil(document) : document).ToJsonString();
        }
        if (request.OutputFormat.Kind != OutputKind.Text || model.Task == SimulatedTask.Json)
        {
            return new JsonObject { ["answer"] = SentenceGenerator.Make(random, 1), ["confidence"] = Math.Round(random.Fraction(), 2),
                ["tags"] = new JsonArray(SentenceGenerator.Word(random), SentenceGenerator.Word(random)) }.ToJsonString();
        }
        if (LastToolResult(request) is { } result)
        {
            var shown = string.Concat(result.Content.OfType<TextPart>().Select(t => t.Text));
            if (shown.Length > 400) shown = shown[..(char.IsHighSurrogate(shown[399]) ? 399 : 400)] + "…";
            return $"The tool {(result.IsError ? "failed and said" : "answered")}: {shown}";
        }
        return SentenceGenerator.Make(random, (model.TokensPerSecond < 50 ? 6 : 2) + random.Below(3));
    }

    // The last property gets a value of another type; a document without properties becomes another type.
    private static JsonNode Spoil(JsonNode document)
    {
        if (document is not JsonObject { Count: > 0 } properties) return "invalid";
        var (name, value) = properties.Last();
        properties[name] = value?.GetValueKind() == System.Text.Json.JsonValueKind.String ? 0 : "invalid";
        return properties;
    }

    private static IReadOnlyList<Tool> ToolsToCall(ConversationRequest request, SimulatedModel model)
    {
        var choice = request.ToolChoice;
        var tools = choice.Allowed?.ToHashSet(StringComparer.Ordinal) is { } allowed
            ? [.. request.Tools.Where(t => allowed.Contains(t.Name))]
            : request.Tools;
        if (tools.Count == 0 || choice.Mode == ToolChoiceMode.None || LastToolResult(request) is not null) return [];
        if (choice.Mode == ToolChoiceMode.Named) return [.. tools.Where(t => t.Name == choice.Name).Take(1)];
        if (model.Task != SimulatedTask.Tools && choice.Mode != ToolChoiceMode.Required) return [];
        // Two at once only if the request explicitly allows parallel calls.
        return [.. tools.Take(request.ParallelToolCalls == true ? 2 : 1)];
    }

    // A result that no assistant turn follows yet.
    private static ToolResultPart? LastToolResult(ConversationRequest request)
    {
        for (var i = request.Messages.Count - 1; i >= 0 && request.Messages[i].Role != Role.Assistant; i--)
        {
            if (request.Messages[i].Parts.OfType<ToolResultPart>().LastOrDefault() is { } result) return result;
        }
        return null;
    }

    private static string LastUserText(ConversationRequest request)
    {
        for (var i = request.Messages.Count - 1; i >= 0; i--)
        {
            if (request.Messages[i].Role != Role.User) continue;
            var text = new StringBuilder();
            foreach (var part in request.Messages[i].Parts.OfType<TextPart>()) text.Append(text.Length > 0 ? "\n" : "").Append(part.Text);
            if (text.Length > 0) return text.ToString();
        }
        return "";
    }

    private static bool Thinks(Reasoning? reasoning) => reasoning is not ({ Effort: "none" } or { Mode: "disabled" });

    private static int ThinkingSentences(Reasoning? reasoning) => reasoning?.Effort switch
    {
        "minimal" => 1,
        "low" => 2,
        "high" => 8,
        "xhigh" or "max" => 14,
        _ => 4,
    };

    private static TokenLogprob LogprobOf(string token, SimulatedRandom random, int top)
    {
        // Mostly high, sometimes low.
        var logprob = Math.Round(Math.Log(1 - (random.Fraction() * random.Fraction() * 0.9)), 6);
        var alternatives = new List<TokenLogprob>(top);
        for (var i = 0; i < top; i++)
        {
            var text = i == 0 ? token : $" {SentenceGenerator.Word(random)}";
            alternatives.Add(new TokenLogprob(text, i == 0
                ? logprob
                : Math.Round(logprob - 1 - (0.7 * i) - random.Fraction() * 0.5, 6), []) { Bytes = Encoding.UTF8.GetBytes(text) });
        }
        return new TokenLogprob(token, logprob, alternatives) { Bytes = Encoding.UTF8.GetBytes(token) };
    }
}
