using System.Buffers;
using System.Text;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Generations;

/// <summary>
/// The members of the generation object that are known when it ends, as one JSON object. It is stored with the bytes that the object has on
/// the wire, so that its members are copied and not parsed.
/// </summary>
internal static class GenerationDetails
{
    /// <summary>Members that the <c>fairlead</c> object of other dialects has too.</summary>
    public static readonly string[] FromMetadata = ["usage", "cost", "timing_ms", "quality", "limits", "attempts", "warnings"];

    private static readonly JsonReaderOptions Reading = new() { MaxDepth = 1024 };

    /// <summary>The details of a call that has ended.</summary>
    /// <param name="call">The call.</param>
    /// <param name="answer">The output in the canonical form; null if it exists only in the client's dialect.</param>
    /// <param name="error">Why the call failed, or null.</param>
    public static byte[] Of(GatewayCall call, ModelResponse? answer, GatewayError? error)
    {
        var output = new ArrayBufferWriter<byte>(2048);
        using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions))
        {
            json.WriteStartObject();
            json.WriteString("model", call.Answering is null ? null : call.ReportedModel);
            json.WriteString("provider", call.Answering?.Deployment.ProviderName);
            if (answer is null)
            {
                json.WriteNull("output");
                json.WriteNull("output_text");
            }
            else
            {
                WriteOutput(json, answer);
                json.WriteString("output_text", TextOf(answer));
            }
            using var metadata = new PooledBuffer();
            FairleadObjectWriter.WriteFinal(call, metadata);
            foreach (var name in FromMetadata) WriteCopy(json, name, metadata.WrittenSpan);
            if (call.IsCoalesced) json.WriteBoolean("coalesced", true);
            if (call.IsCached)
            {
                json.WriteBoolean("cached", true);
                WriteCopy(json, "original_usage", metadata.WrittenSpan);
            }
            if (call.Violations is { } violations) WriteViolations(json, violations);
            WriteError(json, call.RequestId, call.Site, error);
            json.WriteEndObject();
        }
        return output.WrittenSpan.ToArray();
    }

    /// <summary>The details of a generation that ended without a run.</summary>
    public static byte[] Of(string requestId, PublicAddress site, GatewayError error)
    {
        var output = new ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions))
        {
            json.WriteStartObject();
            foreach (var name in (ReadOnlySpan<string>)["model", "provider", "output", "output_text"]) json.WriteNull(name);
            foreach (var name in FromMetadata) json.WriteNull(name);
            WriteError(json, requestId, site, error);
            json.WriteEndObject();
        }
        return output.WrittenSpan.ToArray();
    }

    /// <summary>Copies all members of stored details into an object that is being written.</summary>
    public static void CopyTo(Utf8JsonWriter json, ReadOnlySpan<byte> details)
    {
        var reader = new Utf8JsonReader(details, Reading);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            json.WritePropertyName(reader.ValueSpan);
            json.WriteRawValue(details[SkipValue(ref reader)], skipInputValidation: true);
        }
    }

    /// <summary>Copies one member of stored details into an object that is being written; null if the details do not have it.</summary>
    public static void CopyTo(Utf8JsonWriter json, string name, ReadOnlySpan<byte> details)
    {
        json.WritePropertyName(name);
        if (Find(details, name) is { Length: > 0 } value) json.WriteRawValue(value, skipInputValidation: true);
        else json.WriteNullValue();
    }

    /// <summary>The bytes of a member; empty if the object does not have it.</summary>
    private static ReadOnlySpan<byte> Find(ReadOnlySpan<byte> members, string name)
    {
        var reader = new Utf8JsonReader(members, Reading);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isFound = reader.ValueTextEquals(name);
            var value = SkipValue(ref reader);
            if (isFound) return members[value];
        }
        return default;
    }

    /// <summary>Moves from the name of a member to the end of its value, whose bytes are in the range.</summary>
    private static Range SkipValue(ref Utf8JsonReader reader)
    {
        reader.Read();
        var start = (int)reader.TokenStartIndex;
        reader.Skip();
        return start..(int)reader.BytesConsumed;
    }

    // Token by token: the writer of these members escapes less than this one, and both forms were always the same on the wire.
    private static void WriteCopy(Utf8JsonWriter json, string name, ReadOnlySpan<byte> members)
    {
        json.WritePropertyName(name);
        var value = Find(members, name);
        if (value.IsEmpty)
        {
            json.WriteNullValue();
            return;
        }
        var reader = new Utf8JsonReader(value, Reading);
        while (reader.Read())
        {
            switch (reader.TokenType)
            {
                case JsonTokenType.StartObject: json.WriteStartObject(); break;
                case JsonTokenType.EndObject: json.WriteEndObject(); break;
                case JsonTokenType.StartArray: json.WriteStartArray(); break;
                case JsonTokenType.EndArray: json.WriteEndArray(); break;
                case JsonTokenType.PropertyName: json.WritePropertyName(reader.GetString()!); break;
                case JsonTokenType.String: json.WriteStringValue(reader.GetString()); break;
                default: json.WriteRawValue(reader.ValueSpan, skipInputValidation: true); break;
            }
        }
    }

    private static void WriteViolations(Utf8JsonWriter json, IReadOnlyList<SchemaViolation> violations)
    {
        json.WriteStartArray("violations");
        foreach (var violation in violations)
        {
            json.WriteStartObject();
            json.WriteString("pointer", violation.Pointer);
            json.WriteString("detail", violation.Detail);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void WriteError(Utf8JsonWriter json, string requestId, PublicAddress site, GatewayError? error)
    {
        json.WritePropertyName("error");
        if (error is null) json.WriteNullValue();
        else ErrorBodyWriter.WriteBody(json, error, ErrorShape.Problem, requestId, site);
    }

    private static string? TextOf(ModelResponse answer)
    {
        if (answer.Choices.Count == 0) return null;
        var text = new StringBuilder();
        foreach (var part in answer.Choices[0].Parts)
        {
            if (part is TextPart piece) text.Append(piece.Text);
        }
        return text.ToString();
    }

    private static void WriteOutput(Utf8JsonWriter json, ModelResponse answer)
    {
        json.WriteStartArray("output");
        foreach (var choice in answer.Choices)
        {
            int? number = answer.Choices.Count > 1 ? choice.Index : null;
            var isInMessage = false;
            foreach (var part in choice.Parts)
            {
                if (part is TextPart or RefusalPart)
                {
                    if (!isInMessage) StartMessage(json);
                    isInMessage = true;
                    WritePiece(json, part);
                }
                else if (part is ToolCallPart or ReasoningPart { Redacted: null })
                {
                    if (isInMessage) EndMessage(json, number);
                    isInMessage = false;
                    WriteItem(json, part, number);
                }
            }
            if (isInMessage) EndMessage(json, number);
        }
        json.WriteEndArray();
    }

    private static void StartMessage(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("type", "message");
        json.WriteString("role", "assistant");
        json.WriteStartArray("content");
    }

    private static void WritePiece(Utf8JsonWriter json, Part part)
    {
        json.WriteStartObject();
        json.WriteString("type", part is TextPart ? "text" : "refusal");
        json.WriteString("text", part is TextPart text ? text.Text : ((RefusalPart)part).Text);
        json.WriteEndObject();
    }

    private static void EndMessage(Utf8JsonWriter json, int? choice)
    {
        json.WriteEndArray();
        EndItem(json, choice);
    }

    private static void WriteItem(Utf8JsonWriter json, Part part, int? choice)
    {
        json.WriteStartObject();
        if (part is ToolCallPart call)
        {
            json.WriteString("type", "tool_call");
            json.WriteString("id", call.Id);
            json.WriteString("name", call.Name);
            json.WriteString("arguments", call.Arguments);
        }
        else
        {
            json.WriteString("type", "reasoning");
            json.WriteString("text", ((ReasoningPart)part).Text);
        }
        EndItem(json, choice);
    }

    // With several choices, each item has the number of its choice.
    private static void EndItem(Utf8JsonWriter json, int? choice)
    {
        if (choice is { } number) json.WriteNumber("choice", number);
        json.WriteEndObject();
    }
}
