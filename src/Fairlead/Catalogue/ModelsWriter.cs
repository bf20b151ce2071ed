using System.Text.Json;

namespace Fairlead.Catalogue;

/// <summary>Writes models as JSON, in the three formats.</summary>
internal static class ModelsWriter
{
    public static void OpenAiList(Utf8JsonWriter json, IReadOnlyList<CatalogueModel> models)
    {
        json.WriteStartObject();
        json.WriteString("object", "list");
        json.WriteStartArray("data");
        foreach (var model in models) OpenAi(json, model);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    public static void OpenAi(Utf8JsonWriter json, CatalogueModel model)
    {
        json.WriteStartObject();
        json.WriteString("id", model.Id);
        json.WriteString("object", "model");
        json.WriteNumber("created", model.CreatedAt.ToUnixTimeSeconds());
        json.WriteString("owned_by", model.OwnedBy);
        if (model.Lifecycle.RetiresAt is { } retires)
        {
            json.WriteString("shutdown_date",
                retires.UtcDateTime.ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture));
        }

        json.WriteEndObject();
    }

    public static void AnthropicList(Utf8JsonWriter json, IReadOnlyList<CatalogueModel> models, bool hasMore)
    {
        json.WriteStartObject();
        json.WriteStartArray("data");
        foreach (var model in models) Anthropic(json, model);
        json.WriteEndArray();
        json.WriteBoolean("has_more", hasMore);
        json.WriteString("first_id", models.Count > 0 ? models[0].Id : null);
        json.WriteString("last_id", models.Count > 0 ? models[^1].Id : null);
        json.WriteEndObject();
    }

    public static void Anthropic(Utf8JsonWriter json, CatalogueModel model)
    {
        json.WriteStartObject();
        json.WriteString("type", "model");
        json.WriteString("id", model.Id);
        json.WriteString("display_name", DisplayName(model));
        json.WriteString("created_at", Time(model.CreatedAt));
        WriteOptional(json, "max_input_tokens", model.MaxInputTokens ?? model.ContextWindow);
        WriteOptional(json, "max_tokens", model.MaxOutputTokens);
        json.WriteString("lifecycle", NameOf(model.Lifecycle.State));
        json.WriteNull("line");
        json.WriteString("deprecated_at", Time(model.Lifecycle.DeprecatedAt));
        json.WriteString("retires_at", Time(model.Lifecycle.RetiresAt));
        AnthropicCapabilities(json, model);
        json.WriteEndObject();
    }

    // Anthropic's typed clients require every one of these keys; what only Anthropic's own servers do is stated as not supported.
    private static void AnthropicCapabilities(Utf8JsonWriter json, CatalogueModel model)
    {
        var capabilities = model.Capabilities;
        json.WriteStartObject("capabilities");
        Supported(json, "batch", false);
        Supported(json, "citations", false);
        Supported(json, "code_execution", false);
        json.WriteStartObject("context_management");
        json.WriteBoolean("supported", false);
        json.WriteNull("clear_thinking_20251015");
        json.WriteNull("clear_tool_uses_20250919");
        json.WriteNull("compact_20260112");
        json.WriteEndObject();
        json.WriteStartObject("effort");
        json.WriteBoolean("supported", capabilities.ReasoningEfforts.Count > 0);
        foreach (var effort in (ReadOnlySpan<string>)["low", "medium", "high", "xhigh", "max"])
            Supported(json, effort, capabilities.ReasoningEfforts.Contains(effort));
        json.WriteEndObject();
        Supported(json, "image_input", model.InputModalities.Contains("image"));
        Supported(json, "pdf_input", model.InputModalities.Contains("pdf"));
        json.WriteStartObject("server_tools");
        json.WriteBoolean("supported", false);
        Supported(json, "code_execution", false);
        Supported(json, "web_search", false);
        json.WriteEndObject();
        Supported(json, "structured_outputs", capabilities.JsonSchema);
        json.WriteStartObject("thinking");
        json.WriteBoolean("supported", capabilities.Reasoning);
        json.WriteStartObject("types");
        Supported(json, "adaptive", capabilities.Reasoning);
        Supported(json, "between_tools", false);
        Supported(json, "disabled", true);
        Supported(json, "enabled", capabilities.Reasoning);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    /// <param name="now">The prices shown are those of calls that are accepted now.</param>
    public static void FullList(Utf8JsonWriter json, IReadOnlyList<CatalogueModel> models, bool hasMore, DateTimeOffset now)
    {
        json.WriteStartObject();
        json.WriteStartArray("data");
        foreach (var model in models) Full(json, model, now);
        json.WriteEndArray();
        json.WriteString("next_cursor", hasMore ? models[^1].Id : null);
        json.WriteEndObject();
    }

    /// <param name="now">The prices shown are those of calls that are accepted now.</param>
    public static void Full(Utf8JsonWriter json, CatalogueModel model, DateTimeOffset now)
    {
        json.WriteStartObject();
        json.WriteString("id", model.Id);
        json.WriteString("object", "model");
        json.WriteString("kind", model.Kind == ModelKind.Embedding ? "embedding" : "chat");
        json.WriteString("display_name", DisplayName(model));
        json.WriteString("owned_by", model.OwnedBy);
        json.WriteString("created_at", Time(model.CreatedAt));
        WriteOptional(json, "context_window", model.ContextWindow);
        WriteOptional(json, "max_input_tokens", model.MaxInputTokens);
        WriteOptional(json, "max_output_tokens", model.MaxOutputTokens);
        WriteOptional(json, "embedding_dimensions", model.EmbeddingDimensions);
        json.WriteStartObject("modalities");
        WriteStrings(json, "input", model.InputModalities.Order(StringComparer.Ordinal));
        WriteStrings(json, "output", model.OutputModalities.Order(StringComparer.Ordinal));
        json.WriteEndObject();
        Capabilities(json, model.Capabilities);
        json.WriteString("tokenizer", model.TokenizerName);
        json.WriteString("task", model.Task);
        WriteStrings(json, "aliases", model.Aliases);
        Prices(json, model.Prices.At(now));
        json.WriteStartObject("lifecycle");
        json.WriteString("state", NameOf(model.Lifecycle.State));
        json.WriteString("deprecated_at", Time(model.Lifecycle.DeprecatedAt));
        json.WriteString("retires_at", Time(model.Lifecycle.RetiresAt));
        json.WriteString("replacement", model.Lifecycle.Replacement);
        json.WriteEndObject();
        json.WriteStartArray("deployments");
        foreach (var deployment in model.Deployments)
        {
            json.WriteStartObject();
            json.WriteString("name", deployment.Name);
            json.WriteString("provider", deployment.ProviderName);
            json.WriteNumber("priority", deployment.Priority);
            json.WriteNumber("weight", deployment.Weight);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Capabilities(Utf8JsonWriter json, ModelCapabilities capabilities)
    {
        json.WriteStartObject("capabilities");
        json.WriteBoolean("tools", capabilities.Tools);
        json.WriteBoolean("json_schema", capabilities.JsonSchema);
        json.WriteBoolean("reasoning", capabilities.Reasoning);
        WriteStrings(json, "reasoning_efforts", capabilities.ReasoningEfforts);
        json.WriteBoolean("logprobs", capabilities.Logprobs);
        json.WriteBoolean("prefill", capabilities.Prefill);
        json.WriteBoolean("sampling", capabilities.Sampling);
        json.WriteBoolean("multiple_choices", capabilities.MultipleChoices);
        json.WriteBoolean("dimensions", capabilities.Dimensions);
        json.WriteEndObject();
    }

    private static void Prices(Utf8JsonWriter json, ModelPrices prices)
    {
        json.WriteStartObject("prices");
        json.WriteString("unit", "usd_per_million_tokens");
        json.WriteNumber("input", prices.Input);
        WriteOptional(json, "cached_input", prices.CachedInput);
        WriteOptional(json, "audio_input", prices.AudioInput);
        WriteOptional(json, "cache_write", prices.CacheWrite);
        WriteOptional(json, "long_cache_write", prices.LongCacheWrite);
        json.WriteNumber("output", prices.Output);
        WriteOptional(json, "audio_output", prices.AudioOutput);
        json.WriteStartArray("tiers");
        foreach (var tier in prices.Tiers)
        {
            json.WriteStartObject();
            json.WriteNumber("above_input_tokens", tier.AboveInputTokens);
            json.WriteNumber("input", tier.Input);
            WriteOptional(json, "cached_input", tier.CachedInput);
            WriteOptional(json, "cache_write", tier.CacheWrite);
            WriteOptional(json, "long_cache_write", tier.LongCacheWrite);
            WriteOptional(json, "audio_input", tier.AudioInput);
            json.WriteNumber("output", tier.Output);
            WriteOptional(json, "audio_output", tier.AudioOutput);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartObject("service_tiers");
        foreach (var (tier, factor) in prices.ServiceTiers.All) json.WriteNumber(tier, factor);
        json.WriteEndObject();
        json.WriteString("as_of", prices.AsOf?.ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture));
        json.WriteEndObject();
    }

    private static string NameOf(LifecycleState state) =>
        state switch { LifecycleState.Active => "active", LifecycleState.Deprecated => "deprecated", _ => "retired" };

    private static string DisplayName(CatalogueModel model) => model.DisplayName.Length > 0 ? model.DisplayName : model.Id;

    private static string Time(DateTimeOffset at) =>
        at.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture);

    private static string? Time(DateTimeOffset? at) => at is { } time ? Time(time) : null;

    private static void Supported(Utf8JsonWriter json, string name, bool supported)
    {
        json.WriteStartObject(name);
        json.WriteBoolean("supported", supported);
        json.WriteEndObject();
    }

    private static void WriteStrings(Utf8JsonWriter json, string name, IEnumerable<string> words)
    {
        json.WriteStartArray(name);
        foreach (var word in words) json.WriteStringValue(word);
        json.WriteEndArray();
    }

    private static void WriteOptional(Utf8JsonWriter json, string name, int? value)
    {
        if (value is { } number) json.WriteNumber(name, number);
        else json.WriteNull(name);
    }

    private static void WriteOptional(Utf8JsonWriter json, string name, decimal? value)
    {
        if (value is { } number) json.WriteNumber(name, number);
        else json.WriteNull(name);
    }
}
