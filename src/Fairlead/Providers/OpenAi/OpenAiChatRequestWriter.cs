using System.Buffers;
using System.Text.Json;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;

namespace Fairlead.Providers.OpenAi;

/// <summary>
/// Writes a conversation as an OpenAI chat request. What the API does not support is rejected if the response depends on it; otherwise it
/// is left out with a warning. One per request.
/// </summary>
/// <param name="warn">Receives code and text of each warning.</param>
/// <param name="sameFamily">
/// Whether the caller's dialect is one of OpenAI's, so that fields without a canonical form keep their meaning.
/// </param>
/// <param name="olderNames">Whether the server needs <c>system</c> and <c>max_tokens</c>; null for the usual names of its vendor.</param>
internal sealed class OpenAiChatRequestWriter(ConversationRequest request, CatalogueModel? model, OpenAiEndpoint endpoint, Action<string,
    string> warn, bool sameFamily, bool? olderNames = null)
{
    /// <summary>OpenAI's own models accept no more.</summary>
    private const int MaxStops = 4;

    // Of text completions: these request another text than a chat returns.
    private static readonly HashSet<string> CompletionsOnly = new(StringComparer.Ordinal) { "echo", "best_of", "suffix" };

    private static readonly JsonWriterOptions Options =
        new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping, MaxDepth = 1100 };

    /// <summary>Whether the turn of the assistant at the end is continued.</summary>
    public bool ContinuesTurn { get; init; }

    private bool UsesOlderNames => olderNames ?? endpoint.TakesOlderNames;

    public void Write(string upstreamModel, bool stream, IBufferWriter<byte> output, bool askForUsage = true)
    {
        using var json = new Utf8JsonWriter(output, Options);
        json.WriteStartObject();
        json.WriteString("model", upstreamModel);
        json.WriteStartArray("messages");
        new OpenAiMessagesWriter(json, endpoint, warn, UsesOlderNames).Write(request.Messages);
        json.WriteEndArray();
        if (request.MaxOutputTokens is { } cap) json.WriteNumber(UsesOlderNames ? "max_tokens" : "max_completion_tokens", cap);
        if (request.ChoiceCount != 1) json.WriteNumber("n", request.ChoiceCount);
        WriteSampling(json, request.Sampling);
        WriteTools(json);
        WriteFormat(json, request.OutputFormat);
        WriteReasoning(json);
        if (request.Verbosity is { } verbosity) json.WriteString("verbosity", verbosity);
        if (request.EndUser is { } user) json.WriteString(endpoint.IsOpenAi ? "safety_identifier" : "user", user);
        if (request.Audio is { } audio)
        {
            json.WriteStartArray("modalities");
            json.WriteStringValue("text");
            json.WriteStringValue("audio");
            json.WriteEndArray();
            json.WriteStartObject("audio");
            json.WriteString("voice", audio.Voice);
            json.WriteString("format", audio.Format);
            json.WriteEndObject();
        }
        if (request.Metadata is { Count: > 0 }) Ignore("metadata", "it would only label a response stored at the provider");
        WriteExtra(json);
        if (ContinuesTurn)
        {
            json.WriteBoolean("continue_final_message", true);
            json.WriteBoolean("add_generation_prompt", false);
        }
        if (stream)
        {
            json.WriteBoolean("stream", true);
            if (askForUsage)
            {
                json.WriteStartObject("stream_options");
                json.WriteBoolean("include_usage", true);
                json.WriteEndObject();
            }
        }
        json.WriteEndObject();
    }

    private void WriteSampling(Utf8JsonWriter json, Sampling sampling)
    {
        if (sampling.Temperature is { } temperature) json.WriteNumber("temperature", temperature);
        if (sampling.TopP is { } topP) json.WriteNumber("top_p", topP);
        if (sampling.TopK is { } topK)
        {
            if (endpoint.TakesTopK) json.WriteNumber("top_k", topK);
            else Ignore("top_k", "the model's provider has no such setting");
        }
        if (sampling.FrequencyPenalty is { } frequency) json.WriteNumber("frequency_penalty", frequency);
        if (sampling.PresencePenalty is { } presence) json.WriteNumber("presence_penalty", presence);
        if (sampling.Seed is { } seed) json.WriteNumber("seed", seed);
        if (sampling.Stop.Count > 0)
        {
            if (endpoint.IsOpenAi && sampling.Stop.Count > MaxStops)
            {
                throw Unsupported(sameFamily ? "stop" : "stop_sequences",
                    $"The model's provider accepts at most {MaxStops} stop sequences.");
            }
            json.WriteStartArray("stop");
            foreach (var stop in sampling.Stop) json.WriteStringValue(stop);
            json.WriteEndArray();
        }
        if (sampling.Logprobs)
        {
            json.WriteBoolean("logprobs", true);
            if (sampling.TopLogprobs is { } top) json.WriteNumber("top_logprobs", top);
        }
        if (sampling.LogitBias is { Count: > 0 } biases)
        {
            json.WriteStartObject("logit_bias");
            foreach (var (token, bias) in biases) json.WriteNumber(token, bias);
            json.WriteEndObject();
        }
    }

    private void WriteTools(Utf8JsonWriter json)
    {
        var choice = request.ToolChoice;
        // Only OpenAI supports allowed_tools; for other servers the tools that are not allowed are left out.
        var tools = choice.Allowed?.ToHashSet(StringComparer.Ordinal) is { } allowed && !endpoint.IsOpenAi
            ? [.. request.Tools.Where(t => allowed.Contains(t.Name))]
            : request.Tools;
        if (tools.Count == 0) return;
        json.WriteStartArray("tools");
        foreach (var tool in tools) WriteTool(json, tool);
        json.WriteEndArray();
        WriteChoice(json, choice);
        if (request.ParallelToolCalls is { } parallel) json.WriteBoolean("parallel_tool_calls", parallel);
    }

    private void WriteTool(Utf8JsonWriter json, Tool tool)
    {
        if (tool.CacheHint is not null) Ignore("cache_control", "the model's provider caches automatically");
        var custom = tool.Kind == ToolKind.Custom;
        if (custom && !endpoint.IsOpenAi) throw Unsupported("tools", "The model's provider does not support custom tools.");
        json.WriteStartObject();
        json.WriteString("type", custom ? "custom" : "function");
        json.WriteStartObject(custom ? "custom" : "function");
        json.WriteString("name", tool.Name);
        if (tool.Description is { } description) json.WriteString("description", description);
        if (!custom && tool.Parameters is { } parameters)
        {
            json.WritePropertyName("parameters");
            parameters.WriteTo(json);
        }
        if (!custom && tool.Strict is { } strict) json.WriteBoolean("strict", strict);
        if (custom && tool.Format is { } format)
        {
            json.WritePropertyName("format");
            format.WriteTo(json);
        }
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private void WriteChoice(Utf8JsonWriter json, ToolChoice choice)
    {
        if (choice.Allowed is not null && endpoint.IsOpenAi && choice.Mode is ToolChoiceMode.Auto or ToolChoiceMode.Required)
        {
            json.WriteStartObject("tool_choice");
            json.WriteString("type", "allowed_tools");
            json.WriteStartObject("allowed_tools");
            json.WriteString("mode", choice.Mode == ToolChoiceMode.Required ? "required" : "auto");
            json.WriteStartArray("tools");
            var customs = request.Tools.Where(tool => tool.Kind == ToolKind.Custom).Select(tool => tool.Name)
                .ToHashSet(StringComparer.Ordinal);
            foreach (var name in choice.Allowed) WriteNamed(json, name, customs.Contains(name));
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndObject();
            return;
        }
        switch (choice.Mode)
        {
            case ToolChoiceMode.None: json.WriteString("tool_choice", "none"); break;
            case ToolChoiceMode.Auto: json.WriteString("tool_choice", "auto"); break;
            case ToolChoiceMode.Required: json.WriteString("tool_choice", "required"); break;
            case ToolChoiceMode.Named:
                json.WritePropertyName("tool_choice");
                WriteNamed(json, choice.Name!, request.Tools.FirstOrDefault(tool => tool.Name == choice.Name)?.Kind == ToolKind.Custom);
                break;
        }
    }

    private static void WriteNamed(Utf8JsonWriter json, string name, bool isCustom)
    {
        var kind = isCustom ? "custom" : "function";
        json.WriteStartObject();
        json.WriteString("type", kind);
        json.WriteStartObject(kind);
        json.WriteString("name", name);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteFormat(Utf8JsonWriter json, OutputFormat format)
    {
        if (format.Kind == OutputKind.Text) return;
        json.WriteStartObject("response_format");
        json.WriteString("type", format.Kind == OutputKind.Json ? "json_object" : "json_schema");
        if (format.Kind == OutputKind.JsonSchema)
        {
            json.WriteStartObject("json_schema");
            json.WriteString("name", format.Name ?? "output");
            if (format.Description is { } description) json.WriteString("description", description);
            if (format.Schema is { } schema)
            {
                json.WritePropertyName("schema");
                schema.WriteTo(json);
            }
            if (format.Strict is { } strict) json.WriteBoolean("strict", strict);
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }

    private void WriteReasoning(Utf8JsonWriter json)
    {
        if (request.Reasoning is not { } reasoning) return;
        var wanted = reasoning switch
        {
            { Effort: { } effort } => effort,
            { Mode: "disabled" } => "none",
            { BudgetTokens: < 4096 } => "low",
            { BudgetTokens: < 16384 } => "medium",
            { BudgetTokens: not null } => "high",
            _ => null,
        };
        if (wanted is null) return;
        var name = reasoning.Effort is not null ? "reasoning_effort" : "thinking";
        if (model is { Capabilities.Reasoning: false })
        {
            if (wanted != "none") Ignore(name, "the model does not reason");
            return;
        }
        var known = model?.Capabilities.ReasoningEfforts ?? [];
        if (known.Count > 0 && !known.Contains(wanted))
        {
            var nearest = Nearest(wanted, known);
            warn("parameter_adjusted", $"The reasoning effort '{wanted}' is not supported by the model; '{nearest}' was requested.");
            wanted = nearest;
        }
        else if (reasoning.Effort is null && reasoning.BudgetTokens is not null)
        {
            warn("parameter_adjusted",
                $"The model's provider does not support a budget of thinking tokens; the reasoning effort '{wanted}' was requested.");
        }
        json.WriteString("reasoning_effort", wanted);
    }

    private static string Nearest(string wanted, IReadOnlyList<string> known)
    {
        string[] scale = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
        var at = Array.IndexOf(scale, wanted);
        return known.MinBy(word => Math.Abs(Array.IndexOf(scale, word) - at))!;
    }

    private void WriteExtra(Utf8JsonWriter json)
    {
        foreach (var (name, value) in request.Extra ?? [])
        {
            if (sameFamily && CompletionsOnly.Contains(name))
            {
                throw Unsupported(name, $"The field '{name}' is not supported by chat models.");
            }
            if (!sameFamily)
            {
                Ignore(name, "the model's provider has no such setting");
                continue;
            }
            json.WritePropertyName(name);
            if (value is null) json.WriteNullValue();
            else value.WriteTo(json);
        }
    }

    private void Ignore(string name, string reason) =>
        warn("parameter_ignored", $"The field '{RequestErrors.Shown(name)}' was not sent: {reason}.");

    internal static GatewayErrorException Unsupported(string parameter, string message) =>
        new(GatewayError.Unsupported(parameter, message));
}
