using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Translates a valid chat request to the canonical model. Fields without a canonical form keep their own name.</summary>
internal static class ChatConversationReader
{
    // Read into fields of their own, or about the transport; everything else goes to Extra.
    private static readonly HashSet<string> Taken = new(StringComparer.Ordinal)
    {
        "model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "n",
        "stop", "seed", "logprobs", "top_logprobs", "logit_bias", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls",
        "response_format", "reasoning_effort", "verbosity", "metadata", "user", "safety_identifier", "functions", "function_call", "audio",
        "modalities", "fairlead",
    };

    /// <exception cref="GatewayErrorException">An object contains the same member twice, which is ambiguous.</exception>
    public static ConversationRequest Read(GatewayCall call, int maxDepth = 1024)
    {
        call.Facts.ThrowIfUnknownValue();
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(call.Body.WrittenMemory,
                new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = maxDepth });
        }
        catch (JsonException)
        {
            throw new GatewayErrorException(new GatewayError(ErrorCode.InvalidParameter,
                "An object of the body contains the same member twice; send it once.") { OpenAiCode = "invalid_value" });
        }
        using (document) return Request(document.RootElement, call);
    }

    internal static Sampling Sampling(JsonElement root, RequestFacts facts) => new()
    {
        Temperature = facts.Temperature,
        TopP = facts.TopP,
        FrequencyPenalty = Number(root, "frequency_penalty"),
        PresencePenalty = Number(root, "presence_penalty"),
        Seed = facts.Seed,
        Stop = Stop(root),
        Logprobs = root.TryGetProperty("logprobs", out var logprobs) && logprobs.ValueKind == JsonValueKind.True,
        TopLogprobs = (int?)Number(root, "top_logprobs"),
        LogitBias = Has(root, "logit_bias", out var bias)
            ? bias.EnumerateObject().ToDictionary(b => b.Name, b => b.Value.GetDouble(), StringComparer.Ordinal)
            : null,
    };

    /// <summary>All members that are not null and not in <paramref name="taken"/>, unchanged; null when there are none.</summary>
    internal static JsonObject? Extra(JsonElement root, HashSet<string> taken)
    {
        JsonObject? extra = null;
        foreach (var member in root.EnumerateObject())
        {
            if (member.Value.ValueKind == JsonValueKind.Null || taken.Contains(member.Name)) continue;
            (extra ??= [])[member.Name] = Node(member.Value);
        }
        return extra;
    }

    internal static bool Has(JsonElement element, string name, out JsonElement value) =>
        element.TryGetProperty(name, out value) && value.ValueKind is not (JsonValueKind.Null or JsonValueKind.Undefined);

    internal static string? Text(JsonElement element, string name) =>
        Has(element, name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static ConversationRequest Request(JsonElement root, GatewayCall call)
    {
        var facts = call.Facts;
        var tools = new List<Tool>();
        if (Has(root, "tools", out var list))
        {
            foreach (var tool in list.EnumerateArray()) tools.Add(ReadTool(tool));
        }
        if (Has(root, "functions", out var functions))
        {
            foreach (var function in functions.EnumerateArray()) tools.Add(Function(function));
        }
        AudioOutput? audio = null;
        var extra = Extra(root, Taken);
        var modalities = Has(root, "modalities", out var wanted) ? wanted.EnumerateArray().Select(m => m.GetString()).ToList() : [];
        if (modalities.Contains("audio") && Has(root, "audio", out var settings))
        {
            if (Text(settings, "voice") is { } voice) audio = new AudioOutput(voice, Text(settings, "format")!);
            else (extra ??= [])["audio"] = Node(settings);
        }
        return new ConversationRequest
        {
            Messages = Messages(root.GetProperty("messages"), call),
            Tools = tools,
            ToolChoice = Choice(root),
            ParallelToolCalls = Has(root, "parallel_tool_calls", out var parallel) ? parallel.GetBoolean() : null,
            OutputFormat = Format(root),
            Sampling = Sampling(root, facts),
            MaxOutputTokens = facts.MaxOutputTokens,
            ChoiceCount = facts.ChoiceCount,
            Reasoning = facts.ReasoningEffort is { } effort ? new Reasoning { Effort = effort } : null,
            EndUser = Text(root, "safety_identifier") ?? Text(root, "user"),
            Verbosity = Text(root, "verbosity"),
            Audio = audio,
            Metadata = Has(root, "metadata", out var metadata)
                ? metadata.EnumerateObject().ToDictionary(m => m.Name, m => m.Value.GetString()!, StringComparer.Ordinal)
                : null,
            Extra = extra,
        };
    }

    private static List<Message> Messages(JsonElement list, GatewayCall call)
    {
        ReadOnlyMemory<byte> source = call.Body.WrittenMemory;
        var messages = new List<Message>(list.GetArrayLength());
        var names = new Dictionary<string, string>(StringComparer.Ordinal);
        string? legacyCall = null;
        var index = 0;
        foreach (var message in list.EnumerateArray())
        {
            var role = Text(message, "role");
            switch (role)
            {
                case "assistant":
                    messages.Add(Assistant(message, index, names, ref legacyCall, call));
                    break;
                case "tool":
                    var id = Text(message, "tool_call_id")!;
                    Result(messages, new ToolResultPart(id, Parts(message, source)) { Name = names.GetValueOrDefault(id) });
                    break;
                case "function":
                    // Results of legacy functions have no id: they belong to the preceding call, or to a call that is added.
                    var name = Text(message, "name")!;
                    Result(messages, new ToolResultPart(legacyCall ?? $"call_function_{index}", Parts(message, source)) { Name = name });
                    break;
                default:
                    var speaker = role switch { "system" => Role.System, "developer" => Role.Developer, _ => Role.User };
                    messages.Add(new Message(speaker, Hinted(message, Parts(message, source))) { Name = Text(message, "name") });
                    break;
            }
            index++;
        }
        return messages;
    }

    // Results of parallel calls are separate messages here and one canonical turn.
    private static void Result(List<Message> messages, ToolResultPart result)
    {
        // The list belongs to this reader while it reads.
        if (messages.Count > 0 && messages[^1] is { Role: Role.Tool, Parts: List<Part> parts }) parts.Add(result);
        else messages.Add(new Message(Role.Tool, new List<Part> { result }));
    }

    private static Message Assistant(JsonElement message, int index, Dictionary<string, string> names, ref string? legacyCall,
        GatewayCall call)
    {
        var parts = new List<Part>();
        if ((Text(message, "reasoning_content") ?? Text(message, "reasoning")) is { Length: > 0 } reasoning)
        {
            parts.Add(new ReasoningPart(reasoning, null));
        }
        Written(message, parts, call);
        if (Text(message, "refusal") is { Length: > 0 } refusal) parts.Add(new RefusalPart(refusal));
        if (Has(message, "tool_calls", out var calls))
        {
            foreach (var made in calls.EnumerateArray())
            {
                var id = Text(made, "id")!;
                var custom = Has(made, "custom", out var body) && Text(made, "type") is (null or "custom");
                if (!custom && !Has(made, "function", out body)) continue;
                var name = Text(body, "name")!;
                names[id] = name;
                parts.Add(new ToolCallPart(id, name, Arguments(body, custom ? "input" : "arguments")) { Kind = custom
                    ? ToolKind.Custom
                    : ToolKind.Function });
            }
        }
        if (Has(message, "function_call", out var legacy))
        {
            legacyCall = $"call_function_{index}";
            parts.Add(new ToolCallPart(legacyCall, Text(legacy, "name")!, Arguments(legacy, "arguments")));
        }
        if (Has(message, "audio", out var audio))
        {
            // Another provider receives only the transcript of an audio response.
            if (audio.ValueKind == JsonValueKind.Object && Text(audio, "transcript") is { Length: > 0 } transcript
                && !parts.Exists(part => part is TextPart))
            {
                parts.Add(new TextPart(transcript));
            }
            else
            {
                call.Warn("history_omitted",
                    "An earlier audio response was not sent: only the provider that generated it can resolve its id.");
            }
        }
        return new Message(Role.Assistant, parts) { Name = Text(message, "name") };
    }

    // Output of a model: what has no canonical form is left out, because the conversation must be able to continue.
    private static void Written(JsonElement message, List<Part> parts, GatewayCall call)
    {
        if (!Has(message, "content", out var content)) return;
        if (content.ValueKind == JsonValueKind.String)
        {
            parts.Add(new TextPart(content.GetString()!));
            return;
        }
        foreach (var part in content.EnumerateArray())
        {
            if (Text(part, "type") == "thinking" && Has(part, "thinking", out var thoughts) && thoughts.ValueKind == JsonValueKind.Array)
            {
                var thinking = string.Concat(thoughts.EnumerateArray().Where(thought => thought.ValueKind == JsonValueKind.Object)
                    .Select(thought => Text(thought, "text")));
                if (thinking.Length > 0) parts.Add(new ReasoningPart(thinking, null));
            }
            else if (Text(part, "type") == "refusal")
            {
                parts.Add(new RefusalPart(Text(part, "refusal")!));
            }
            else if (Text(part, "text") is { } text)
            {
                parts.Add(new TextPart(text) { CacheHint = Hint(part) });
            }
            else
            {
                call.Warn("history_omitted",
                    $"A part of type '{RequestErrors.Shown(Text(part, "type") ?? "")}' in an earlier response was not sent: the provider "
                        + "of this model does not accept it as input.");
            }
        }
    }

    private static string Arguments(JsonElement call, string name) =>
        !Has(call, name, out var value) ? "" : value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();

    // OpenAI's hint, or Anthropic's as clients of this dialect send it.
    private static JsonObject? Hint(JsonElement part) =>
        (Has(part, "cache_control", out var hint) || Has(part, "prompt_cache_breakpoint", out hint))
            && hint.ValueKind == JsonValueKind.Object ? (JsonObject)Node(hint) : null;

    // A hint of the message applies to all of it, so to its last part.
    private static List<Part> Hinted(JsonElement message, List<Part> parts)
    {
        if (parts.Count > 0 && parts[^1].CacheHint is null && Hint(message) is { } hint) parts[^1] = parts[^1] with { CacheHint = hint };
        return parts;
    }

    private static List<Part> Parts(JsonElement message, ReadOnlyMemory<byte> source)
    {
        if (!Has(message, "content", out var content)) return [];
        if (content.ValueKind == JsonValueKind.String) return [new TextPart(content.GetString()!)];
        var parts = new List<Part>(content.GetArrayLength());
        foreach (var part in content.EnumerateArray())
        {
            Part made = Text(part, "type") switch
            {
                "text" => new TextPart(Text(part, "text")!),
                "image_url" => Image(part.GetProperty("image_url"), source),
                "input_audio" =>
                    new AudioPart(Text(part.GetProperty("input_audio"), "format")!,
                        MediaData.Of(part.GetProperty("input_audio").GetProperty("data"), source)),
                "file" => File(part.GetProperty("file"), source),
                _ => new RefusalPart(Text(part, "refusal")!),
            };
            if (Hint(part) is { } hint) made = made with { CacheHint = hint };
            parts.Add(made);
        }
        return parts;
    }

    private static ImagePart Image(JsonElement image, ReadOnlyMemory<byte> source) =>
        ImageOf(image.GetProperty("url"), Text(image, "detail"), source);

    /// <summary>An image by its URL or data URL.</summary>
    internal static ImagePart ImageOf(JsonElement url, string? detail, ReadOnlyMemory<byte> source) =>
        MediaData.OfDataUrl(url, source) is { } data
        ? new ImagePart(null, data.MediaType, data.Data) { Detail = detail }
        : new ImagePart(url.GetString(), null, null) { Detail = detail };

    private static FilePart File(JsonElement file, ReadOnlyMemory<byte> source)
    {
        var made = new FilePart { FileName = Text(file, "filename"), FileId = Text(file, "file_id") };
        return Has(file, "file_data", out var content) && content.ValueKind == JsonValueKind.String
            ? WithContent(made, content, source)
            : made;
    }

    /// <summary>The file with its inline content.</summary>
    internal static FilePart WithContent(FilePart made, JsonElement content, ReadOnlyMemory<byte> source)
    {
        if (MediaData.OfDataUrl(content, source) is { } data) return made with { MediaType = data.MediaType, Data = data.Data };
        // Plain base64, as some clients send it: the file name determines the type.
        return made with { Data = MediaData.Of(content, source),
            MediaType = made.FileName?.EndsWith(".pdf", StringComparison.OrdinalIgnoreCase) == true ? "application/pdf" : null };
    }

    private static Tool ReadTool(JsonElement tool)
    {
        if (Text(tool, "type") != "custom")
        {
            var function = Function(tool.GetProperty("function"));
            return Hint(tool) is { } hint ? function with { CacheHint = hint } : function;
        }
        var custom = tool.GetProperty("custom");
        return new Tool(Text(custom, "name")!)
        {
            Kind = ToolKind.Custom,
            Description = Text(custom, "description"),
            Format = Has(custom, "format", out var format) ? (JsonObject)Node(format) : null,
        };
    }

    private static Tool Function(JsonElement function) => new(Text(function, "name")!)
    {
        Description = Text(function, "description"),
        Parameters = Has(function, "parameters", out var parameters) ? (JsonObject)Node(parameters) : null,
        Strict = Has(function, "strict", out var strict) ? strict.GetBoolean() : null,
        CacheHint = Hint(function),
    };

    private static ToolChoice Choice(JsonElement root)
    {
        if (Has(root, "tool_choice", out var choice))
        {
            if (choice.ValueKind == JsonValueKind.String) return Mode(choice.GetString()!);
            switch (Text(choice, "type"))
            {
                case "function": return new ToolChoice(ToolChoiceMode.Named, Text(choice.GetProperty("function"), "name"));
                case "custom": return new ToolChoice(ToolChoiceMode.Named, Text(choice.GetProperty("custom"), "name"));
            }
            var allowed = choice.GetProperty("allowed_tools");
            var names = new List<string>();
            foreach (var tool in allowed.GetProperty("tools").EnumerateArray())
            {
                var name = Has(tool, "function", out var function) && function.ValueKind == JsonValueKind.Object ? Text(function, "name")
                    : Has(tool, "custom", out var custom) && custom.ValueKind == JsonValueKind.Object
                        ? Text(custom, "name")
                        : Text(tool, "name");
                names.Add(name
                    ?? throw new GatewayErrorException(GatewayError.Invalid($"tool_choice.allowed_tools.tools[{names.Count}]",
                        "Every allowed tool must name a function or custom tool.")));
            }
            return Mode(Text(allowed, "mode")!) with { Allowed = names };
        }
        if (!Has(root, "function_call", out var legacy)) return ToolChoice.Unset;
        return legacy.ValueKind == JsonValueKind.String
            ? Mode(legacy.GetString()!)
            : new ToolChoice(ToolChoiceMode.Named, Text(legacy, "name"));
    }

    private static ToolChoice Mode(string word) => new(word switch
    {
        "none" => ToolChoiceMode.None,
        "required" => ToolChoiceMode.Required,
        _ => ToolChoiceMode.Auto,
    });

    private static OutputFormat Format(JsonElement root)
    {
        if (!Has(root, "response_format", out var format)) return OutputFormat.Text;
        switch (Text(format, "type"))
        {
            case "json_object": return new OutputFormat(OutputKind.Json);
            case "json_schema":
                var schema = format.GetProperty("json_schema");
                return new OutputFormat(OutputKind.JsonSchema)
                {
                    Name = Text(schema, "name"),
                    Description = Text(schema, "description"),
                    Schema = Has(schema, "schema", out var value) ? (JsonObject)Node(value) : null,
                    Strict = Has(schema, "strict", out var strict) ? strict.GetBoolean() : null,
                };
            default: return OutputFormat.Text;
        }
    }

    private static List<string> Stop(JsonElement root)
    {
        if (!Has(root, "stop", out var stop)) return [];
        return stop.ValueKind == JsonValueKind.String ? [stop.GetString()!] : [.. stop.EnumerateArray().Select(s => s.GetString()!)];
    }

    private static double? Number(JsonElement root, string name) =>
        Has(root, name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;

    // A separate copy: the document's memory returns to the pool.
    private static JsonNode Node(JsonElement element) =>
        JsonNode.Parse(element.GetRawText(), documentOptions: new JsonDocumentOptions { MaxDepth = 1024 })!;
}
