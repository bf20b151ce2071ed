using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;

namespace Fairlead.Providers.Gemini;

/// <summary>
/// Writes a conversation as the body of <c>generateContent</c>. What the API does not support is rejected if it changes the meaning;
/// otherwise it is reported to <c>warn</c> (code, text). Pure; one per request.
/// </summary>
internal sealed class GeminiRequestWriter
{
    /// <summary>The API's own limit.</summary>
    private const int MaxStopSequences = 5;

    /// <summary>The API's own limit.</summary>
    private const int MaxCandidates = 8;

    /// <summary>
    /// Google's documented value for a function call without a signature (of another model, or lost in the client's dialect).
    /// </summary>
    private const string SignatureNotAtHand = "skip_thought_signature_validator";

    private readonly ConversationRequest _request;
    private readonly GeminiModel _model;
    private readonly Action<string, string> _warn;
    private readonly Dictionary<string, string> _toolNames = new(StringComparer.Ordinal);

    private GeminiRequestWriter(ConversationRequest request, in GeminiModel model, Action<string, string> warn)
    {
        _request = request;
        _model = model;
        _warn = warn;
    }

    /// <exception cref="GatewayErrorException">This API cannot represent the request.</exception>
    public static void Write(ConversationRequest request, in GeminiModel model, Action<string, string> warn, IBufferWriter<byte> output)
    {
        using var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions);
        new GeminiRequestWriter(request, model, warn).Write(json, null);
    }

    /// <summary>The same as the body of <c>countTokens</c>.</summary>
    /// <exception cref="GatewayErrorException">This API cannot represent the request.</exception>
    public static void WriteCount(ConversationRequest request, in GeminiModel model, Action<string, string> warn,
        IBufferWriter<byte> output)
    {
        using var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions);
        json.WriteStartObject();
        json.WritePropertyName("generateContentRequest");
        new GeminiRequestWriter(request, model, warn).Write(json, $"models/{model.Id}");
        json.WriteEndObject();
    }

    private void Write(Utf8JsonWriter json, string? model)
    {
        RefuseWhatHasNoCounterpart();
        json.WriteStartObject();
        if (model is not null) json.WriteString("model", model);
        WriteConversation(json);
        WriteTools(json);
        WriteGenerationConfig(json);
        json.WriteEndObject();
    }

    private void RefuseWhatHasNoCounterpart()
    {
        var sampling = _request.Sampling;
        if (sampling.LogitBias is { Count: > 0 }) throw Unsupported("logit_bias", "Gemini models do not support logit_bias.");
        if (_request.Audio is not null) throw Unsupported("modalities", "Audio output of Gemini models is not supported.");
        if (sampling.Stop.Count > MaxStopSequences)
        {
            throw Unsupported("stop", $"Gemini models accept at most {MaxStopSequences} stop sequences.");
        }
        if (_request.ChoiceCount > MaxCandidates) throw Unsupported("n", $"Gemini models return at most {MaxCandidates} choices.");
        if (sampling.Seed is < int.MinValue or > int.MaxValue) throw Unsupported("seed", "Gemini models accept a seed of 32 bits.");
        if (_request.ParallelToolCalls == false && _request.Tools.Count > 0 && _request.ToolChoice.Mode != ToolChoiceMode.None)
        {
            throw Unsupported("parallel_tool_calls", "Gemini models cannot be limited to one tool call at a time.");
        }
        if (_request.OutputFormat.Kind != OutputKind.Text && _request.Tools.Count > 0 && _request.ToolChoice.Mode != ToolChoiceMode.None
            && !_model.JsonWithTools)
        {
            throw Unsupported("response_format", $"The model {_model.Id} does not support tools together with a JSON response format.");
        }
        if (_request.EndUser is not null) Ignored("The end-user id is not sent to Gemini models.");
        if (_request.Verbosity is not null) Ignored("Gemini models do not support verbosity.");
        if (_request.Metadata is { Count: > 0 }) Ignored("Gemini models do not store metadata; 'metadata' was left out.");
        ExtraFields.Omit(_request, name => Ignored($"Gemini models do not support '{name}'."));
    }

    private void WriteConversation(Utf8JsonWriter json)
    {
        var onlyInstructions = true;
        foreach (var message in _request.Messages) onlyInstructions &= message.Role is Role.System or Role.Developer;

        // A request must have contents: instructions alone are sent as the user's turn.
        if (!onlyInstructions) WriteInstructions(json, "systemInstruction");
        json.WriteStartArray("contents");
        if (onlyInstructions)
        {
            json.WriteStartObject();
            json.WriteString("role", "user");
            WriteInstructionParts(json);
            json.WriteEndObject();
        }
        string? open = null;
        for (var i = 0; i < _request.Messages.Count; i++)
        {
            var message = _request.Messages[i];
            if (message.Role is Role.System or Role.Developer || !HasParts(message)) continue;
            if (message.Name is not null) Ignored("Gemini models do not support participant names.");
            var role = message.Role == Role.Assistant ? "model" : "user";
            // Neighbours of one role are one turn: results of parallel calls must be together.
            if (role != open)
            {
                if (open is not null) CloseTurn(json);
                json.WriteStartObject();
                json.WriteString("role", role);
                json.WriteStartArray("parts");
                open = role;
            }
            if (message.Role == Role.Assistant) WriteModelParts(json, message, i);
            else WriteUserParts(json, message, i);
        }
        if (open is not null) CloseTurn(json);
        json.WriteEndArray();
    }

    private static void CloseTurn(Utf8JsonWriter json)
    {
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private void WriteInstructions(Utf8JsonWriter json, string property)
    {
        foreach (var message in _request.Messages)
        {
            if (message.Role is not (Role.System or Role.Developer) || !HasParts(message)) continue;
            json.WriteStartObject(property);
            WriteInstructionParts(json);
            json.WriteEndObject();
            return;
        }
    }

    private void WriteInstructionParts(Utf8JsonWriter json)
    {
        json.WriteStartArray("parts");
        for (var i = 0; i < _request.Messages.Count; i++)
        {
            var message = _request.Messages[i];
            if (message.Role is not (Role.System or Role.Developer)) continue;
            foreach (var part in message.Parts)
            {
                NoteCacheHint(part);
                if (part is not TextPart text)
                {
                    throw Unsupported($"messages[{i}].content", "Gemini models accept only text as instructions.");
                }
                WriteText(json, text.Text);
            }
        }
        json.WriteEndArray();
    }

    /// <summary>Whether anything of the message is written: the API rejects a turn without parts.</summary>
    private static bool HasParts(Message message)
    {
        foreach (var part in message.Parts)
        {
            if (part is not (ReasoningPart or TextPart { Text: "" } or RefusalPart { Text: "" })) return true;
        }
        return false;
    }

    private void WriteModelParts(Utf8JsonWriter json, Message message, int index)
    {
        var firstCall = true;
        foreach (var part in message.Parts)
        {
            NoteCacheHint(part);
            switch (part)
            {
                case TextPart text: WriteText(json, text.Text); break;
                case RefusalPart refusal: WriteText(json, refusal.Text); break;
                // Earlier thoughts are summaries, which the API does not need; it needs the signature on the calls.
                case ReasoningPart: Ignored("Earlier reasoning is not sent to Gemini models."); break;
                case ToolCallPart call:
                    WriteCall(json, call, index, firstCall);
                    firstCall = false;
                    break;
                default:
                    throw Unsupported($"messages[{index}].content", "Gemini models accept only text and tool calls of earlier responses.");
            }
        }
    }

    private void WriteCall(Utf8JsonWriter json, ToolCallPart call, int index, bool first)
    {
        if (call.Kind == ToolKind.Custom) throw Unsupported($"messages[{index}].tool_calls", "Gemini models do not support custom tools.");
        _toolNames[call.Id] = call.Name;
        json.WriteStartObject();
        json.WriteStartObject("functionCall");
        json.WriteString("id", call.Id);
        json.WriteString("name", call.Name);
        json.WritePropertyName("args");
        if (string.IsNullOrWhiteSpace(call.Arguments))
        {
            json.WriteStartObject();
            json.WriteEndObject();
        }
        else if (!TryWriteObject(json, call.Arguments))
        {
            // One invalid call must not end the conversation.
            json.WriteStartObject();
            json.WriteString("invalid_arguments", call.Arguments);
            json.WriteEndObject();
        }
        json.WriteEndObject();
        if (call.Signature is { } signature) json.WriteString("thoughtSignature", signature);
        else if (first && _model.DemandsSignatures) json.WriteString("thoughtSignature", SignatureNotAtHand);
        json.WriteEndObject();
    }

    private void WriteUserParts(Utf8JsonWriter json, Message message, int index)
    {
        foreach (var part in message.Parts)
        {
            if (part is ToolResultPart result) WriteResult(json, result, index);
        }
        foreach (var part in message.Parts)
        {
            switch (part)
            {
                case ToolResultPart result:
                    // A tool result cannot contain images; they follow it in the same turn.
                    foreach (var content in result.Content)
                    {
                        if (content is not TextPart) WritePart(json, content, index);
                    }
                    break;
                default: WritePart(json, part, index); break;
            }
        }
    }

    private void WriteResult(Utf8JsonWriter json, ToolResultPart result, int index)
    {
        NoteCacheHint(result);
        var name = _toolNames.GetValueOrDefault(result.CallId) ?? result.Name
            ?? throw new GatewayErrorException(GatewayError.Invalid($"messages[{index}].tool_call_id",
                "No tool call of an earlier turn has this id."));
        var text = string.Concat(result.Content.OfType<TextPart>().Select(t => t.Text));
        json.WriteStartObject();
        json.WriteStartObject("functionResponse");
        json.WriteString("id", result.CallId);
        json.WriteString("name", name);
        json.WritePropertyName("response");
        // The API requires an object, and documents these two members for other values.
        // The API would try to resolve a reference, and reject it.
        if (result.IsError || HoldsReference(text) || !TryWriteObject(json, text))
        {
            json.WriteStartObject();
            json.WriteString(result.IsError ? "error" : "output", text);
            json.WriteEndObject();
        }
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private void WritePart(Utf8JsonWriter json, Part part, int index)
    {
        NoteCacheHint(part);
        switch (part)
        {
            case TextPart text:
                WriteText(json, text.Text);
                break;
            case ImagePart image:
                if (image.Detail is "low" or "high") Ignored("Gemini models do not support image detail.");
                WriteMedia(json, image.Data, image.Url, image.MediaType ?? (image.Data is null ? GuessMediaType(image.Url) : "image/png"));
                break;
            case AudioPart audio:
                WriteMedia(json, audio.Data, null, $"audio/{audio.Format}");
                break;
            case FilePart file:
                WriteFile(json, file, index);
                break;
            default:
                throw Unsupported($"messages[{index}].content", "Gemini models do not support this kind of part.");
        }
    }

    private void WriteFile(Utf8JsonWriter json, FilePart file, int index)
    {
        if (file.Citations == true) Ignored("Gemini models do not support citations of documents in the request.");
        if (file.Title is { Length: > 0 } title) WriteText(json, title);
        if (file.Context is { Length: > 0 } context) WriteText(json, context);
        if (file.Text is { } text) WriteText(json, text);
        else if (file.Data is not null || file.Url is not null)
        {
            WriteMedia(json, file.Data, file.Url, file.MediaType ?? GuessMediaType(file.FileName ?? file.Url) ?? "application/pdf");
        }
        else
        {
            throw Unsupported($"messages[{index}].content",
                "Files by id of another provider cannot be read by Gemini models; send the file inline.");
        }
    }

    private static void WriteMedia(Utf8JsonWriter json, MediaData? data, string? url, string? mediaType)
    {
        json.WriteStartObject();
        json.WriteStartObject(data is null ? "fileData" : "inlineData");
        if (mediaType is not null) json.WriteString("mimeType", mediaType);
        if (data is null) json.WriteString("fileUri", url);
        else json.WriteString("data"u8, data.Base64.Span);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteText(Utf8JsonWriter json, string text)
    {
        if (text.Length == 0) return;
        json.WriteStartObject();
        json.WriteString("text", text);
        json.WriteEndObject();
    }

    private void WriteTools(Utf8JsonWriter json)
    {
        if (_request.Tools.Count == 0) return;
        var strict = false;
        json.WriteStartArray("tools");
        json.WriteStartObject();
        json.WriteStartArray("functionDeclarations");
        for (var i = 0; i < _request.Tools.Count; i++)
        {
            var tool = _request.Tools[i];
            if (tool.Kind == ToolKind.Custom) throw Unsupported($"tools[{i}]", "Gemini models do not support custom tools.");
            if (tool.CacheHint is not null) CacheHintIgnored();
            strict |= tool.Strict == true;
            json.WriteStartObject();
            json.WriteString("name", tool.Name);
            if (tool.Description is { } description) json.WriteString("description", description);
            if (tool.Parameters is { Count: > 0 } parameters)
            {
                json.WritePropertyName("parametersJsonSchema");
                parameters.WriteTo(json);
            }
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndArray();
        WriteToolConfig(json, strict);
    }

    private void WriteToolConfig(Utf8JsonWriter json, bool strict)
    {
        var choice = _request.ToolChoice;
        var mode = choice.Mode switch
        {
            ToolChoiceMode.None => "NONE",
            ToolChoiceMode.Required or ToolChoiceMode.Named => "ANY",
            // VALIDATED is AUTO with enforced schemas; only it supports a list of names together with free text.
            _ when choice.Allowed is not null || strict => "VALIDATED",
            ToolChoiceMode.Auto => "AUTO",
            _ => null,
        };
        if (mode is null) return;
        json.WriteStartObject("toolConfig");
        json.WriteStartObject("functionCallingConfig");
        json.WriteString("mode", mode);
        IReadOnlyList<string>? names = choice.Mode == ToolChoiceMode.Named && choice.Name is { } name ? [name] : choice.Allowed;
        if (names is not null && mode != "NONE")
        {
            json.WriteStartArray("allowedFunctionNames");
            foreach (var allowed in names) json.WriteStringValue(allowed);
            json.WriteEndArray();
        }
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private void WriteGenerationConfig(Utf8JsonWriter json)
    {
        var sampling = _request.Sampling;
        json.WriteStartObject("generationConfig");
        if (sampling.Temperature is { } temperature) json.WriteNumber("temperature", temperature);
        if (sampling.TopP is { } topP) json.WriteNumber("topP", topP);
        if (sampling.TopK is { } topK) json.WriteNumber("topK", topK);
        if (_request.MaxOutputTokens is { } max) json.WriteNumber("maxOutputTokens", max);
        if (_request.ChoiceCount > 1) json.WriteNumber("candidateCount", _request.ChoiceCount);
        if (sampling.Stop.Count > 0)
        {
            json.WriteStartArray("stopSequences");
            foreach (var stop in sampling.Stop) json.WriteStringValue(stop);
            json.WriteEndArray();
        }
        if (sampling.Seed is { } seed) json.WriteNumber("seed", seed);
        if (sampling.PresencePenalty is { } presence) json.WriteNumber("presencePenalty", presence);
        if (sampling.FrequencyPenalty is { } frequency) json.WriteNumber("frequencyPenalty", frequency);
        if (_request.OutputFormat.Kind != OutputKind.Text)
        {
            json.WriteString("responseMimeType", "application/json");
            if (_request.OutputFormat is { Kind: OutputKind.JsonSchema, Schema: { } schema })
            {
                json.WritePropertyName("responseJsonSchema");
                schema.WriteTo(json);
            }
        }
        if (sampling.Logprobs)
        {
            json.WriteBoolean("responseLogprobs", true);
            if (sampling.TopLogprobs is > 0 and { } top) json.WriteNumber("logprobs", top);
        }
        GeminiThinking.Write(json, _request.Reasoning, _model, _warn);
        json.WriteEndObject();
    }

    /// <summary>Writes <paramref name="text"/> unchanged if it is one JSON object.</summary>
    private static bool TryWriteObject(Utf8JsonWriter json, string text)
    {
        if (!text.AsSpan().TrimStart().StartsWith('{')) return false;
        try
        {
            // Validated, then written unchanged: this keeps strings with half a surrogate pair, on which copying by value would fail.
            using (JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = 1024 }))
            {
                json.WriteRawValue(text, skipInputValidation: true);
            }
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static bool HoldsReference(string text) =>
        text.Contains("\"$ref\"", StringComparison.Ordinal) || text.Contains("\\u0024", StringComparison.Ordinal);

    private static string? GuessMediaType(string? name)
    {
        if (name is null) return null;
        var end = name.AsSpan().IndexOfAny('?', '#');
        var path = end < 0 ? name : name[..end];
        return Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".png" => "image/png",
            ".jpg" or ".jpeg" => "image/jpeg",
            ".webp" => "image/webp",
            ".gif" => "image/gif",
            ".heic" => "image/heic",
            ".heif" => "image/heif",
            ".pdf" => "application/pdf",
            ".txt" => "text/plain",
            ".md" => "text/markdown",
            ".csv" => "text/csv",
            ".html" or ".htm" => "text/html",
            ".json" => "application/json",
            ".mp3" => "audio/mp3",
            ".wav" => "audio/wav",
            ".mp4" => "video/mp4",
            _ => null,
        };
    }

    private void NoteCacheHint(Part part)
    {
        if (part.CacheHint is not null) CacheHintIgnored();
    }

    private void CacheHintIgnored() => Ignored("Gemini models cache automatically; cache hints are not sent.");

    private void Ignored(string message) => _warn("parameter_ignored", message);

    private static GatewayErrorException Unsupported(string parameter, string message) => new(GatewayError.Unsupported(parameter, message));
}
