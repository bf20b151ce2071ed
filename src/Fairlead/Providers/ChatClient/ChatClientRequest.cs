using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Microsoft.Extensions.AI;

namespace Fairlead.Providers.ChatClient;

/// <summary>
/// A conversation as an <see cref="IChatClient"/> accepts it. What it cannot represent is rejected if it changes the meaning.
/// </summary>
internal static class ChatClientRequest
{
    private static readonly JsonElement NoArguments = Parse("""{"type":"object","properties":{}}""");

    /// <exception cref="GatewayErrorException">An <see cref="IChatClient"/> cannot represent the request.</exception>
    public static (List<ChatMessage> Messages, ChatOptions Options) Create(ConversationRequest request, GatewayCall call)
    {
        RefuseWhatHasNoCounterpart(request, call);
        var messages = new List<ChatMessage>(request.Messages.Count);
        for (var i = 0; i < request.Messages.Count; i++)
        {
            var message = request.Messages[i];
            var contents = new List<AIContent>(message.Parts.Count);
            foreach (var part in message.Parts) AddContent(contents, part, i);
            messages.Add(new ChatMessage(RoleOf(message.Role), contents) { AuthorName = message.Name });
        }
        return (messages, CreateOptions(request, call));
    }

    private static void RefuseWhatHasNoCounterpart(ConversationRequest request, GatewayCall call)
    {
        if (request.ChoiceCount > 1) throw Unsupported("n", "This model returns one choice per request.");
        if (request.Sampling.Logprobs) throw Unsupported("logprobs", "This model does not report log probabilities.");
        if (request.Sampling.LogitBias is { Count: > 0 }) throw Unsupported("logit_bias", "This model does not support logit_bias.");
        if (request.Audio is not null) throw Unsupported("modalities", "This model does not generate audio.");
        if (request.Verbosity is not null) call.Warn("parameter_ignored", "This model does not support verbosity.");
        ExtraFields.Omit(request, name => call.Warn("parameter_ignored", $"This model does not support '{name}'."));
    }

    private static ChatOptions CreateOptions(ConversationRequest request, GatewayCall call)
    {
        var sampling = request.Sampling;
        var options = new ChatOptions
        {
            Temperature = (float?)sampling.Temperature,
            TopP = (float?)sampling.TopP,
            TopK = sampling.TopK,
            FrequencyPenalty = (float?)sampling.FrequencyPenalty,
            PresencePenalty = (float?)sampling.PresencePenalty,
            Seed = sampling.Seed,
            StopSequences = sampling.Stop.Count > 0 ? [.. sampling.Stop] : null,
            MaxOutputTokens = request.MaxOutputTokens,
            ResponseFormat = FormatOf(request.OutputFormat),
            Reasoning = ReasoningOf(request.Reasoning),
            AdditionalProperties = new AdditionalPropertiesDictionary { [GatewayCallExtensions.PropertyName] = call },
        };
        if (request.EndUser is { } user) options.AdditionalProperties["fairlead.end_user"] = user;
        if (request.Metadata is { Count: > 0 } metadata) options.AdditionalProperties["fairlead.metadata"] = metadata;
        AddTools(options, request);
        return options;
    }

    private static void AddTools(ChatOptions options, ConversationRequest request)
    {
        if (request.Tools.Count == 0) return;
        var strict = request.OutputFormat.Strict == true;
        options.Tools = [];
        var allowed = request.ToolChoice.Allowed?.ToHashSet(StringComparer.Ordinal);
        foreach (var tool in request.Tools)
        {
            if (tool.Kind == ToolKind.Custom) throw Unsupported("tools", "This model supports function tools, not custom tools.");
            if (allowed?.Contains(tool.Name) == false) continue;
            strict |= tool.Strict == true;
            options.Tools.Add(AIFunctionFactory.CreateDeclaration(
                tool.Name, tool.Description, tool.Parameters is { Count: > 0 } parameters
                    ? Parse(parameters.ToJsonString())
                    : NoArguments, returnJsonSchema: null));
        }
        if (strict) options.AdditionalProperties!["strict"] = true;
        options.AllowMultipleToolCalls = request.ParallelToolCalls;
        options.ToolMode = request.ToolChoice.Mode switch
        {
            ToolChoiceMode.None => ChatToolMode.None,
            ToolChoiceMode.Auto => ChatToolMode.Auto,
            ToolChoiceMode.Required => ChatToolMode.RequireAny,
            ToolChoiceMode.Named => ChatToolMode.RequireSpecific(request.ToolChoice.Name!),
            _ => null,
        };
    }

    private static void AddContent(List<AIContent> contents, Part part, int index)
    {
        switch (part)
        {
            case TextPart text: contents.Add(new TextContent(text.Text)); break;
            case RefusalPart refusal: contents.Add(new TextContent(refusal.Text)); break;
            case ReasoningPart reasoning:
                contents.Add(new TextReasoningContent(reasoning.Text) { ProtectedData = reasoning.Signature ?? reasoning.Redacted });
                break;
            case ImagePart { Data: { } data } image: contents.Add(Inline(data, image.MediaType ?? "image/png", null, index)); break;
            case ImagePart image: contents.Add(ByAddress(image.Url, image.MediaType ?? "image/*", index)); break;
            case AudioPart audio: contents.Add(Inline(audio.Data, audio.Format == "mp3"
                ? "audio/mpeg"
                : $"audio/{audio.Format}", null, index)); break;
            case FilePart file: AddFile(contents, file, index); break;
            case ToolCallPart call: contents.Add(CallOf(call, index)); break;
            case ToolResultPart result: contents.Add(ResultOf(result, index)); break;
            default: throw Unsupported($"messages[{index}].content", "This model does not support this kind of part.");
        }
    }

    private static void AddFile(List<AIContent> contents, FilePart file, int index)
    {
        if (file.Title is { Length: > 0 } title) contents.Add(new TextContent(title));
        if (file.Context is { Length: > 0 } context) contents.Add(new TextContent(context));
        if (file.Text is { } text) contents.Add(new TextContent(text));
        else if (file.Data is { } data) contents.Add(Inline(data, file.MediaType ?? "application/pdf", file.FileName, index));
        else if (file.Url is { } url) contents.Add(ByAddress(url, file.MediaType ?? "application/octet-stream", index));
        else if (file.FileId is { } id) contents.Add(new HostedFileContent(id) { Name = file.FileName });
    }

    private static FunctionCallContent CallOf(ToolCallPart call, int index)
    {
        if (call.Kind == ToolKind.Custom)
        {
            throw Unsupported($"messages[{index}].tool_calls", "This model supports function tools, not custom tools.");
        }
        var arguments = new Dictionary<string, object?>(StringComparer.Ordinal);
        if (!string.IsNullOrWhiteSpace(call.Arguments))
        {
            try
            {
                var element = Parse(call.Arguments);
                if (element.ValueKind != JsonValueKind.Object) throw new JsonException();
                foreach (var member in element.EnumerateObject()) arguments[member.Name] = member.Value;
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException)
            {
                throw new GatewayErrorException(GatewayError.Invalid($"messages[{index}].tool_calls",
                    "The arguments of a tool call must be a JSON object."));
            }
        }
        return new FunctionCallContent(call.Id, call.Name, arguments);
    }

    private static FunctionResultContent ResultOf(ToolResultPart result, int index)
    {
        object value;
        if (result.Content.All(p => p is TextPart))
        {
            value = string.Concat(result.Content.OfType<TextPart>().Select(t => t.Text));
        }
        else
        {
            var contents = new List<AIContent>(result.Content.Count);
            foreach (var part in result.Content) AddContent(contents, part, index);
            value = contents;
        }
        var content = new FunctionResultContent(result.CallId, value);
        if (result.IsError) content.AdditionalProperties = new AdditionalPropertiesDictionary { ["is_error"] = true };
        return content;
    }

    private static DataContent Inline(MediaData base64, string mediaType, string? name, int index)
    {
        try
        {
            return new DataContent(Decode(base64.Base64.Span), mediaType) { Name = name };
        }
        catch (Exception e) when (e is FormatException or ArgumentException)
        {
            throw new GatewayErrorException(GatewayError.Invalid($"messages[{index}].content",
                "Inline data must be base64 with a media type such as image/png."));
        }
    }

    /// <exception cref="FormatException">It is not base64.</exception>
    private static byte[] Decode(ReadOnlySpan<byte> base64)
    {
        var bytes = new byte[System.Buffers.Text.Base64.GetMaxDecodedFromUtf8Length(base64.Length)];
        return System.Buffers.Text.Base64.DecodeFromUtf8(base64, bytes, out var consumed,
            out var written) == System.Buffers.OperationStatus.Done && consumed == base64.Length
            ? bytes.AsSpan(0, written).ToArray()
            : throw new FormatException("The content is not base64.");
    }

    private static UriContent ByAddress(string? url, string mediaType, int index)
    {
        try
        {
            return new UriContent(url!, mediaType);
        }
        catch (Exception e) when (e is FormatException or ArgumentException)
        {
            throw new GatewayErrorException(GatewayError.Invalid($"messages[{index}].content", "The address must be an absolute URL."));
        }
    }

    private static ChatResponseFormatJson? FormatOf(OutputFormat format) => format switch
    {
        { Kind: OutputKind.Json } => ChatResponseFormat.Json,
        { Kind: OutputKind.JsonSchema, Schema: { } schema } =>
            ChatResponseFormat.ForJsonSchema(Parse(schema.ToJsonString()), format.Name, format.Description),
        { Kind: OutputKind.JsonSchema } => ChatResponseFormat.Json,
        _ => null,
    };

    private static ReasoningOptions? ReasoningOf(Reasoning? reasoning)
    {
        if (reasoning is null) return null;
        ReasoningEffort? effort = reasoning.Effort switch
        {
            "none" => ReasoningEffort.None,
            "minimal" or "low" => ReasoningEffort.Low,
            "medium" => ReasoningEffort.Medium,
            "high" => ReasoningEffort.High,
            "xhigh" or "max" => ReasoningEffort.ExtraHigh,
            _ when reasoning.Mode == "disabled" => ReasoningEffort.None,
            _ when reasoning.BudgetTokens is { } budget =>
                budget <= 1_024 ? ReasoningEffort.Low : budget <= 8_192 ? ReasoningEffort.Medium : ReasoningEffort.High,
            _ => null,
        };
        return new ReasoningOptions
        {
            Effort = effort,
            Output = reasoning.Display == "omitted" ? ReasoningOutput.None
                : reasoning.Display == "summarized" ? ReasoningOutput.Summary
                : null,
        };
    }

    private static ChatRole RoleOf(Role role) => role switch
    {
        Role.System or Role.Developer => ChatRole.System,
        Role.Assistant => ChatRole.Assistant,
        Role.Tool => ChatRole.Tool,
        _ => ChatRole.User,
    };

    private static JsonElement Parse(string json)
    {
        // The maximum depth that a request may be configured to have, and more.
        using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 1024 });
        return document.RootElement.Clone();
    }

    private static GatewayErrorException Unsupported(string parameter, string message) => new(GatewayError.Unsupported(parameter, message));
}
