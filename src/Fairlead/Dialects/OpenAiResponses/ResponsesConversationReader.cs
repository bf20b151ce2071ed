using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Validation;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// Translates a valid Responses request to the canonical model. Features that only a provider with this API has are rejected.
/// </summary>
internal static class ResponsesConversationReader
{
    // Read into members of their own, about delivery, or without an effect on the response; everything else goes to Extra.
    private static readonly HashSet<string> Taken = new(StringComparer.Ordinal)
    {
        "model", "input", "instructions", "previous_response_id", "store", "background", "stream", "stream_options", "max_output_tokens",
        "max_tool_calls", "temperature", "top_p", "top_logprobs", "parallel_tool_calls", "tools", "tool_choice", "text", "reasoning",
        "include", "truncation", "metadata", "safety_identifier", "user", "context_management", "presence_penalty", "frequency_penalty",
        "fairlead", "conversation", "prompt", "prompt_cache_options",
    };

    /// <exception cref="GatewayErrorException">
    /// Something in it is supported only by a provider with this API, or calls and results do not match.
    /// </exception>
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
        using (document) return Request(call, document.RootElement);
    }

    private static ConversationRequest Request(GatewayCall call, JsonElement root)
    {
        var facts = call.Facts;
        var found = facts.Responses!;
        if (ChatConversationReader.Has(root, "context_management", out _))
        {
            call.Warn("parameter_ignored",
                "The field 'context_management' was not sent: the provider of this model does not edit the context.");
        }
        if (ChatConversationReader.Text(root, "truncation") == "auto")
        {
            call.Warn("parameter_ignored",
                "The field 'truncation' had no effect: an input that is too large for this model is rejected, not truncated.");
        }
        var messages = new List<Message>();
        if (ChatConversationReader.Text(root, "instructions") is { Length: > 0 } instructions)
        {
            messages.Add(Message.Of(Role.Developer, instructions));
        }
        var turns = new ResponsesTurns(call, messages);
        foreach (var item in found.History ?? []) turns.Add(item, null);
        if (ChatConversationReader.Has(root, "input", out var input))
        {
            if (input.ValueKind == JsonValueKind.String)
            {
                turns.Text(input.GetString()!);
            }
            else
            {
                var index = 0;
                foreach (var item in input.EnumerateArray()) turns.Add(item, $"input[{index++}]");
            }
        }
        turns.Finish();
        var effort = facts.ReasoningEffort;
        return new ConversationRequest
        {
            Messages = messages,
            Tools = Tools(root),
            ToolChoice = Choice(root),
            ParallelToolCalls = ChatConversationReader.Has(root, "parallel_tool_calls", out var parallel) ? parallel.GetBoolean() : null,
            OutputFormat = Format(root),
            Sampling = new Sampling
            {
                Temperature = facts.Temperature,
                TopP = facts.TopP,
                PresencePenalty = Penalty(root, "presence_penalty"),
                FrequencyPenalty = Penalty(root, "frequency_penalty"),
                Logprobs = facts.Has(RequestFeatures.Logprobs),
                TopLogprobs = found.TopLogprobs,
            },
            MaxOutputTokens = facts.MaxOutputTokens,
            Reasoning = effort is null ? null : new Reasoning { Effort = effort },
            EndUser = ChatConversationReader.Text(root, "safety_identifier") ?? ChatConversationReader.Text(root, "user"),
            Verbosity = ChatConversationReader.Has(root, "text", out var text) ? ChatConversationReader.Text(text, "verbosity") : null,
            Extra = ChatConversationReader.Extra(root, Taken),
        };
    }

    private static List<Tool> Tools(JsonElement root)
    {
        var tools = new List<Tool>();
        if (!ChatConversationReader.Has(root, "tools", out var list)) return tools;
        var index = 0;
        foreach (var tool in list.EnumerateArray())
        {
            var type = ChatConversationReader.Text(tool, "type");
            tools.Add(type switch
            {
                "function" => Function(tool),
                "custom" => new Tool(ChatConversationReader.Text(tool, "name")!)
                {
                    Kind = ToolKind.Custom,
                    Description = ChatConversationReader.Text(tool, "description"),
                    Format = CustomFormat(tool),
                },
                _ => throw Unsupported($"tools[{index}]",
                    $"The tool '{type}' runs only at providers that support the Responses API; the provider of this model does not. Use "
                        + "tools of type 'function' or 'custom', or another model."),
            });
            index++;
        }
        return tools;
    }

    /// <summary>
    /// Strict unless the request has another value, as in the dialect; a schema that cannot be strict is then accepted as it is.
    /// </summary>
    public static bool IsStrict(JsonElement tool)
    {
        if (ChatConversationReader.Has(tool, "strict", out var strict)) return strict.GetBoolean();
        return ChatConversationReader.Has(tool, "parameters", out var parameters)
            && StrictSchema.FindError(System.Text.Encoding.UTF8.GetBytes(parameters.GetRawText())) is null;
    }

    private static Tool Function(JsonElement tool) => new(ChatConversationReader.Text(tool, "name")!)
    {
        Description = ChatConversationReader.Text(tool, "description"),
        Parameters = ChatConversationReader.Has(tool, "parameters", out var parameters) ? (JsonObject)Node(parameters) : null,
        Strict = IsStrict(tool) ? true : null,
    };

    // Chat Completions wraps the grammar, which is flat here.
    private static JsonObject? CustomFormat(JsonElement tool)
    {
        if (!ChatConversationReader.Has(tool, "format", out var format)) return null;
        if (ChatConversationReader.Text(format, "type") != "grammar") return (JsonObject)Node(format);
        return new JsonObject
        {
            ["type"] = "grammar",
            ["grammar"] = new JsonObject { ["definition"] = ChatConversationReader.Text(format, "definition"),
                ["syntax"] = ChatConversationReader.Text(format, "syntax") },
        };
    }

    private static ToolChoice Choice(JsonElement root)
    {
        if (!ChatConversationReader.Has(root, "tool_choice", out var choice)) return ToolChoice.Unset;
        if (choice.ValueKind == JsonValueKind.String) return new ToolChoice(Mode(choice.GetString()));
        switch (ChatConversationReader.Text(choice, "type"))
        {
            case "function" or "custom":
                return new ToolChoice(ToolChoiceMode.Named, ChatConversationReader.Text(choice, "name"));
            case "allowed_tools":
                var allowed = new List<string>();
                var index = 0;
                foreach (var tool in choice.GetProperty("tools").EnumerateArray())
                {
                    if (ChatConversationReader.Text(tool, "type") is not ("function" or "custom"))
                    {
                        throw Unsupported($"tool_choice.tools[{index}]", "The provider of this model does not run tools itself.");
                    }
                    allowed.Add(ChatConversationReader.Text(tool, "name")!);
                    index++;
                }
                return new ToolChoice(Mode(ChatConversationReader.Text(choice, "mode"))) { Allowed = allowed };
            default:
                throw Unsupported("tool_choice", "The provider of this model does not run tools itself.");
        }
    }

    private static ToolChoiceMode Mode(string? word) => word switch
    {
        "none" => ToolChoiceMode.None,
        "required" => ToolChoiceMode.Required,
        _ => ToolChoiceMode.Auto,
    };

    private static OutputFormat Format(JsonElement root)
    {
        if (!ChatConversationReader.Has(root, "text", out var text) || !ChatConversationReader.Has(text, "format", out var format))
        {
            return OutputFormat.Text;
        }
        return ChatConversationReader.Text(format, "type") switch
        {
            "json_object" => new OutputFormat(OutputKind.Json),
            "json_schema" => new OutputFormat(OutputKind.JsonSchema)
            {
                Name = ChatConversationReader.Text(format, "name"),
                Description = ChatConversationReader.Text(format, "description"),
                Schema = (JsonObject)Node(format.GetProperty("schema")),
                Strict = ChatConversationReader.Has(format, "strict", out var strict) ? strict.GetBoolean() : null,
            },
            _ => OutputFormat.Text,
        };
    }

    private static double? Penalty(JsonElement root, string name) =>
        ChatConversationReader.Has(root, name, out var value) && value.GetDouble() is not 0 and var penalty ? penalty : null;

    // A separate copy: the document's memory returns to the pool.
    private static JsonNode Node(JsonElement element) =>
        JsonNode.Parse(element.GetRawText(), documentOptions: new JsonDocumentOptions { MaxDepth = 1024 })!;

    private static GatewayErrorException Unsupported(string field, string message) => new(GatewayError.Unsupported(field, message));
}
