using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>
/// Translates a valid Messages request to the canonical model. Server tools, newer blocks and files stored at Anthropic change the meaning
/// but have no canonical form: they are rejected. Other unknown members go to <see cref="ConversationRequest.Extra"/>.
/// </summary>
internal static class MessagesConversationReader
{
    // The previous pass limited the depth. A duplicate member would be ambiguous for later readers.
    private static readonly JsonDocumentOptions Options = new() { MaxDepth = 1024, AllowDuplicateProperties = false };

    private static readonly JsonDocumentOptions NodeOptions = new() { MaxDepth = 1024 };

    public static ConversationRequest Read(GatewayCall call)
    {
        call.Facts.ThrowIfUnknownValue();
        try
        {
            using var document = JsonDocument.Parse(call.Body.WrittenMemory, Options);
            return Read(call, document.RootElement);
        }
        catch (JsonException)
        {
            // Only a duplicate member that the first pass does not validate gets here.
            throw new GatewayErrorException(new GatewayError(ErrorCode.InvalidParameter,
                "An object in the body contains the same member twice; send each member once."));
        }
    }

    /// <summary>An independent copy of a JSON object.</summary>
    internal static JsonObject Copy(JsonElement value) => JsonNode.Parse(value.GetRawText(), documentOptions: NodeOptions)!.AsObject();

    internal static GatewayErrorException Unsupported(string path, string what) =>
        new(GatewayError.Unsupported(path, $"{what} cannot be translated for the provider of this model.") with
        {
            Remedy = $"Leave '{path}' out, or choose a model of Anthropic's.",
        });

    private static ConversationRequest Read(GatewayCall call, JsonElement root)
    {
        var messages = new List<Message>();
        var builder = new Builder();
        if (root.TryGetProperty("system", out var system) && system.ValueKind != JsonValueKind.Null)
        {
            var parts = MessagesPartReader.ReadTexts(call, system, "system");
            if (parts.Count > 0) messages.Add(new Message(Role.System, parts));
        }
        foreach (var property in root.EnumerateObject())
        {
            if (property.Value.ValueKind != JsonValueKind.Null) ReadMember(call, property.Name, property.Value, builder, messages);
        }
        return new ConversationRequest
        {
            Messages = messages,
            Tools = builder.Tools,
            ToolChoice = builder.ToolChoice,
            ParallelToolCalls = builder.Parallel,
            OutputFormat = builder.Format,
            MaxOutputTokens = builder.MaxTokens,
            Sampling = new Sampling { Temperature = builder.Temperature, TopP = builder.TopP, TopK = builder.TopK, Stop = builder.Stop },
            Reasoning = builder.Reasoning,
            EndUser = builder.EndUser,
            Extra = builder.Extra.Count > 0 ? builder.Extra : null,
        };
    }

    private sealed class Builder
    {
        public IReadOnlyList<Tool> Tools { get; set; } = [];

        public ToolChoice ToolChoice { get; set; } = ToolChoice.Unset;

        public bool? Parallel { get; set; }

        public OutputFormat Format { get; set; } = OutputFormat.Text;

        public int? MaxTokens { get; set; }

        public double? Temperature { get; set; }

        public double? TopP { get; set; }

        public int? TopK { get; set; }

        public IReadOnlyList<string> Stop { get; set; } = [];

        public Reasoning? Reasoning { get; set; }

        public string? EndUser { get; set; }

        public JsonObject Extra { get; } = [];
    }

    private static void ReadMember(GatewayCall call, string name, JsonElement value, Builder builder, List<Message> messages)
    {
        switch (name)
        {
            case "model" or "stream" or "fairlead" or "system": break;
            case "messages": MessagesTurnTranslator.Read(call, value, messages); break;
            case "max_tokens":
                builder.MaxTokens = value.GetInt32();
                if (builder.MaxTokens == 0 && call.Operation == Operation.Chat)
                {
                    throw Unsupported("max_tokens", "Warming the cache with 'max_tokens': 0");
                }
                break;
            case "temperature": builder.Temperature = value.GetDouble(); break;
            case "top_p": builder.TopP = value.GetDouble(); break;
            case "top_k": builder.TopK = value.GetInt32(); break;
            case "stop_sequences": builder.Stop = [.. value.EnumerateArray().Select(stop => stop.GetString()!)]; break;
            case "tools": builder.Tools = ReadTools(call, value); break;
            case "tool_choice": ReadToolChoice(value, builder); break;
            case "thinking": ReadThinking(value, builder); break;
            case "output_config": ReadOutputConfig(value, builder); break;
            case "output_format": builder.Format = ReadFormat(value); break;
            case "metadata": ReadMetadata(value, builder); break;
            // These choose where or with what the response is generated; no other provider can do the same.
            case "container": throw Unsupported(name, "A container");
            case "inference_geo": throw Unsupported(name, "The place of inference");
            // It edits only content that the provider would otherwise read again; Claude Code sends it with every request.
            case "context_management":
                call.Warn("parameter_ignored",
                    "The field 'context_management' was not sent: the provider of this model does not edit the context.");
                break;
            case "mcp_servers":
                if (value.ValueKind == JsonValueKind.Array && value.GetArrayLength() > 0) throw Unsupported(name, "MCP servers");
                break;
            default: builder.Extra[name] = JsonNode.Parse(value.GetRawText(), documentOptions: NodeOptions); break;
        }
    }

    private static List<Tool> ReadTools(GatewayCall call, JsonElement value)
    {
        var tools = new List<Tool>();
        foreach (var tool in value.EnumerateArray())
        {
            if (tool.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String && type.GetString() != "custom")
            {
                throw Unsupported($"tools[{tools.Count}]", "A tool that Anthropic runs or defines");
            }
            string? description = null;
            JsonObject? schema = null;
            bool? strict = null;
            JsonObject? cacheHint = null;
            foreach (var member in tool.EnumerateObject())
            {
                switch (member.Name)
                {
                    case "name" or "type": break;
                    case "description": description = member.Value.GetString(); break;
                    case "input_schema": schema = Copy(member.Value); break;
                    case "strict": strict = member.Value.ValueKind == JsonValueKind.Null ? null : member.Value.GetBoolean(); break;
                    case "cache_control": cacheHint = HintOf(member.Value); break;
                    default:
                        call.Warn("parameter_ignored",
                            $"The provider of this model does not support the tool setting '{Shown(member.Name)}'; it was left out.");
                        break;
                }
            }
            tools.Add(new Tool(tool.GetProperty("name").GetString()!) { Description = description, Parameters = schema, Strict = strict,
                CacheHint = cacheHint });
        }
        return tools;
    }

    internal static JsonObject? HintOf(JsonElement value) => value.ValueKind == JsonValueKind.Object ? Copy(value) : null;

    internal static string Shown(string name) => name.Length > 64 ? name[..64] : name;

    private static void ReadToolChoice(JsonElement value, Builder builder)
    {
        builder.ToolChoice = value.GetProperty("type").GetString() switch
        {
            "auto" => new ToolChoice(ToolChoiceMode.Auto),
            "any" => new ToolChoice(ToolChoiceMode.Required),
            "tool" => new ToolChoice(ToolChoiceMode.Named, value.GetProperty("name").GetString()),
            _ => new ToolChoice(ToolChoiceMode.None),
        };
        if (value.TryGetProperty("disable_parallel_tool_use", out var single)
            && single.ValueKind is JsonValueKind.True or JsonValueKind.False)
        {
            builder.Parallel = !single.GetBoolean();
        }
    }

    private static void ReadThinking(JsonElement value, Builder builder)
    {
        builder.Reasoning = (builder.Reasoning ?? new Reasoning()) with
        {
            Mode = value.GetProperty("type").GetString(),
            BudgetTokens = value.TryGetProperty("budget_tokens", out var budget) && budget.ValueKind == JsonValueKind.Number
                ? budget.GetInt32()
                : null,
            Display = value.TryGetProperty("display", out var display) && display.ValueKind == JsonValueKind.String
                ? display.GetString()
                : null,
        };
    }

    private static void ReadOutputConfig(JsonElement value, Builder builder)
    {
        foreach (var member in value.EnumerateObject())
        {
            if (member.Value.ValueKind == JsonValueKind.Null) continue;
            switch (member.Name)
            {
                case "effort": builder.Reasoning = (builder.Reasoning ?? new Reasoning()) with { Effort = member.Value.GetString() }; break;
                case "format": builder.Format = ReadFormat(member.Value); break;
                default: throw Unsupported($"output_config.{Shown(member.Name)}", "This setting");
            }
        }
    }

    // Anthropic always enforces the schema; other APIs call this strict.
    private static OutputFormat ReadFormat(JsonElement value) =>
        new(OutputKind.JsonSchema) { Name = "output", Schema = Copy(value.GetProperty("schema")), Strict = true };

    private static void ReadMetadata(JsonElement value, Builder builder)
    {
        var rest = Copy(value);
        if (rest.Remove("user_id", out var user)) builder.EndUser = user?.GetValue<string>();
        if (rest.Count > 0) builder.Extra["metadata"] = rest;
    }
}
