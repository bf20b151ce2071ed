using System.Text.Json;
using Fairlead.Conversation;

namespace Fairlead.Providers.Anthropic;

/// <summary>
/// Writes <c>thinking</c> and <c>output_config</c>: effort for models with adaptive thinking, a token budget for older ones.
/// </summary>
internal static class AnthropicThinkingWriter
{
    private const int MinBudget = 1024;

    /// <summary>Whether a budget was written; sampling parameters are not allowed with it.</summary>
    public static bool Write(Utf8JsonWriter json, AnthropicRequest request)
    {
        var reasoning = request.Conversation.Reasoning;
        var generation = request.Generation;
        var off = reasoning is { Effort: "none" } or { Effort: null, Mode: "disabled" };
        var wants = reasoning is not null && !off && (reasoning.Effort ?? reasoning.Mode) is not null;
        string? effort = null;
        var budget = false;

        if (off && generation.AlwaysThinks)
        {
            throw AnthropicTranslator.Unsupported("reasoning_effort", "cannot disable thinking for this model");
        }
        if (off && generation.IsAdaptive)
        {
            json.WriteStartObject("thinking");
            json.WriteString("type", "disabled");
            json.WriteEndObject();
        }
        else if (wants && (!generation.Thinks || !request.Model.Capabilities.Reasoning))
        {
            request.Ignored("reasoning_effort", "this model does not reason.");
        }
        else if (wants && generation.IsAdaptive)
        {
            effort = EffortOf(request, reasoning!);
            if (!request.ForcesTool)
            {
                json.WriteStartObject("thinking");
                json.WriteString("type", "adaptive");
                if (reasoning!.Display is { } display) json.WriteString("display", display);
                json.WriteEndObject();
            }
        }
        else if (wants)
        {
            budget = WriteBudget(json, request, reasoning!);
        }
        WriteConfig(json, request, effort);
        return budget;
    }

    private static string? EffortOf(AnthropicRequest request, Reasoning reasoning)
    {
        if (reasoning.Effort != "minimal") return reasoning.Effort;
        request.Call.Warn("parameter_adjusted", "'reasoning_effort' minimal was raised to low, the minimum of this model's provider.");
        return "low";
    }

    private static bool WriteBudget(Utf8JsonWriter json, AnthropicRequest request, Reasoning reasoning)
    {
        if (request.ForcesTool)
        {
            request.Ignored("reasoning_effort", "this model cannot think while a tool is forced.");
            return false;
        }
        if (request.EndsInUnsignedCalls)
        {
            request.Call.Warn("reasoning_omitted",
                "Thinking was disabled for this request: the last tool calls have no thinking signed by the model's provider.");
            return false;
        }
        var wanted = reasoning.BudgetTokens ?? reasoning.Effort switch
        {
            "minimal" => MinBudget,
            "low" => 2048,
            "high" => 16_384,
            "xhigh" => 24_576,
            "max" => 32_768,
            _ => 8192,
        };
        // The response itself needs tokens too: thinking gets at most four fifths of the limit.
        var budget = Math.Min(wanted, (int)(request.MaxTokens * 4L / 5));
        if (budget < MinBudget)
        {
            request.Ignored("reasoning_effort", "the output limit leaves no tokens for thinking.");
            return false;
        }
        json.WriteStartObject("thinking");
        json.WriteString("type", "enabled");
        json.WriteNumber("budget_tokens", budget);
        json.WriteEndObject();
        return true;
    }

    private static void WriteConfig(Utf8JsonWriter json, AnthropicRequest request, string? effort)
    {
        var format = request.Conversation.OutputFormat;
        var schema = format.Kind == OutputKind.JsonSchema ? format.Schema : null;
        if (effort is null && schema is null) return;
        json.WriteStartObject("output_config");
        if (effort is not null) json.WriteString("effort", effort);
        if (schema is not null)
        {
            json.WriteStartObject("format");
            json.WriteString("type", "json_schema");
            json.WritePropertyName("schema");
            schema.WriteTo(json);
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }
}
