
namespace Fairlead.Catalogue;

/// <summary>Rules for the stated values of a model, independent of all other facts.</summary>
internal static class ModelConfigRules
{
    private static readonly string[] Modalities = ["text", "image", "audio", "video", "pdf", "embedding"];

    public static IEnumerable<CatalogueError> Check(string key, string name, ModelConfig config)
    {
        if (!IsName(name)) yield return new(key, name, "A model's name is 1 to 200 characters without spaces or control characters.");
        if (config.Kind is not (null or "chat" or "embedding")) yield return new($"{key}.kind", config.Kind, "Use chat or embedding.");
        foreach (var error in Positive($"{key}.contextWindow", config.ContextWindow)) yield return error;
        foreach (var error in Positive($"{key}.maxInputTokens", config.MaxInputTokens)) yield return error;
        foreach (var error in Positive($"{key}.maxOutputTokens", config.MaxOutputTokens)) yield return error;
        foreach (var (part, tokens) in new[] { ("maxInputTokens", config.MaxInputTokens), ("maxOutputTokens", config.MaxOutputTokens) })
        {
            if (tokens > config.ContextWindow)
            {
                yield return new($"{key}.{part}", $"{tokens}",
                    $"It is larger than the context window, {config.ContextWindow}; correct one of the two.");
            }
        }
        foreach (var (alias, i) in config.Aliases.Select((a, i) => (a, i)))
        {
            if (!IsName(alias))
            {
                yield return new($"{key}.aliases[{i}]", alias, "An alias is 1 to 200 characters without spaces or control characters.");
            }
        }
        if (config.Tokenizer is "") yield return new($"{key}.tokenizer", "", "Use o200k, cl100k or the name of a family, such as llama3.");
        foreach (var (side, words) in new[] { ("input", config.Modalities?.Input), ("output", config.Modalities?.Output) })
        {
            for (var i = 0; i < (words?.Count ?? 0); i++)
            {
                if (!Modalities.Contains(words![i]))
                {
                    yield return new($"{key}.modalities.{side}[{i}]", words[i], $"Use one of {string.Join(", ", Modalities)}.");
                }
            }
        }
        if (config.Prices is { } prices)
        {
            foreach (var error in PricesConfigRules.Check($"{key}.prices", prices)) yield return error;
        }
        if (config.Lifecycle is { } lifecycle)
        {
            if (lifecycle.State is not ("active" or "deprecated" or "retired"))
            {
                yield return new($"{key}.lifecycle.state", lifecycle.State, "Use active, deprecated or retired.");
            }
            if (lifecycle.RetiresAt < lifecycle.DeprecatedAt)
            {
                yield return new($"{key}.lifecycle.retiresAt", $"{lifecycle.RetiresAt:O}",
                    "A model retires after it was deprecated; correct one of the two dates.");
            }
        }
        for (var i = 0; i < config.Deployments.Count; i++)
        {
            var deployment = config.Deployments[i];
            var at = $"{key}.deployments[{i}]";
            if (deployment.Model is "") yield return new($"{at}.model", "", "Name the model as the provider does, or leave the key out.");
            if (deployment.Priority < 1)
            {
                yield return new($"{at}.priority", $"{deployment.Priority}", "Priorities start at 1, which is tried first.");
            }
            if (deployment.Weight < 1)
            {
                yield return new($"{at}.weight", $"{deployment.Weight}",
                    "A weight is at least 1; take a deployment out of the list to stop using it.");
            }
            foreach (var error in Positive($"{at}.maxConcurrency", deployment.MaxConcurrency)) yield return error;
        }
    }

    private static IEnumerable<CatalogueError> Positive(string key, int? value)
    {
        if (value < 1) yield return new(key, $"{value}", "State a number of at least 1, or leave the key out.");
    }

    private static bool IsName(string name) => name.Length is > 0 and <= 200 && !name.Any(c => char.IsWhiteSpace(c) || char.IsControl(c));
}
