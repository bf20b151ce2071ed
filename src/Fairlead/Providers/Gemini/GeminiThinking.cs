using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;

namespace Fairlead.Providers.Gemini;

/// <summary>
/// Maps a reasoning effort to <c>thinkingConfig</c>: a budget for 2.5, a level for 3 and later. The numbers are
/// those of Google's own OpenAI-compatible API.
/// </summary>
internal static class GeminiThinking
{
    public static void Write(Utf8JsonWriter json, Reasoning? reasoning, in GeminiModel model, Action<string, string> warn)
    {
        if (reasoning is null) return;
        var off = reasoning.Effort == "none" || (reasoning.Effort is null && reasoning.Mode == "disabled");
        switch (model.Thinking)
        {
            case ThinkingControl.None:
                if (off) return;
                throw Unsupported($"The model {model.Id} does not think.");
            case ThinkingControl.Budget:
                WriteBudget(json, reasoning, off, model, warn);
                break;
            case ThinkingControl.Level:
                WriteLevel(json, reasoning, off, model, warn);
                break;
        }
    }

    private static void WriteBudget(Utf8JsonWriter json, Reasoning reasoning, bool off, in GeminiModel model, Action<string, string> warn)
    {
        if (off && !model.IsFlash) throw Unsupported($"Thinking of {model.Id} cannot be disabled.");
        var budget = off ? 0
            : reasoning.BudgetTokens ?? reasoning.Effort switch
            {
                "minimal" => 512,
                "low" => 1_024,
                "medium" => 8_192,
                "high" => 24_576,
                "xhigh" or "max" => model.MaxThinkingBudget,
                null => -1, // only a mode: the model decides how much
                _ => throw Unsupported($"The effort '{reasoning.Effort}' is unknown."),
            };
        if (budget > 0 && budget != Math.Clamp(budget, model.MinThinkingBudget, model.MaxThinkingBudget))
        {
            budget = Math.Clamp(budget, model.MinThinkingBudget, model.MaxThinkingBudget);
            warn("parameter_adjusted", $"The thinking budget was set to {budget} tokens, the nearest value that {model.Id} supports.");
        }
        json.WriteStartObject("thinkingConfig");
        json.WriteNumber("thinkingBudget", budget);
        WriteIncludeThoughts(json, reasoning, off);
        json.WriteEndObject();
    }

    private static void WriteLevel(Utf8JsonWriter json, Reasoning reasoning, bool off, in GeminiModel model, Action<string, string> warn)
    {
        string? level;
        if (off)
        {
            if (!model.IsFlash) throw Unsupported($"Thinking of {model.Id} cannot be disabled.");
            level = "minimal";
            warn("parameter_adjusted", $"Thinking of {model.Id} cannot be disabled; the level minimal was requested.");
        }
        else if (reasoning.Effort is { } effort)
        {
            level = effort switch
            {
                "minimal" => model.IsFlash ? "minimal" : "low",
                "low" or "medium" or "high" => effort,
                "xhigh" or "max" => "high",
                _ => throw Unsupported($"The effort '{effort}' is unknown."),
            };
            if (level != effort) warn("parameter_adjusted", $"The effort {effort} is not supported by {model.Id}; {level} was requested.");
        }
        else if (reasoning.BudgetTokens is { } budget)
        {
            level = budget <= 1_024 ? "low" : budget <= 8_192 ? "medium" : "high";
            warn("parameter_adjusted", $"{model.Id} supports thinking levels, not token budgets; {level} was requested.");
        }
        else
        {
            level = null; // only a mode: the model's own default
        }
        json.WriteStartObject("thinkingConfig");
        if (level is not null) json.WriteString("thinkingLevel", level);
        WriteIncludeThoughts(json, reasoning, off);
        json.WriteEndObject();
    }

    private static void WriteIncludeThoughts(Utf8JsonWriter json, Reasoning reasoning, bool off)
    {
        if (!off && reasoning.Display != "omitted") json.WriteBoolean("includeThoughts", true);
    }

    private static GatewayErrorException Unsupported(string message) => new(GatewayError.Unsupported("reasoning_effort", message));
}
