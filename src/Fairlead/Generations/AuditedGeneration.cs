using System.Globalization;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Generations;

/// <summary>
/// The generation object of a call whose content is not stored, from its audit record. It has the members of every generation object;
/// what the record does not have is null.
/// </summary>
internal static class AuditedGeneration
{
    private static readonly string[] AttemptMembers =
        ["deployment", "provider", "model", "outcome", "error_code", "duration_ms", "usage", "cost_usd"];

    public static void Write(Utf8JsonWriter json, ReadOnlyMemory<byte> record, PublicAddress site)
    {
        using var document = JsonDocument.Parse(record);
        var root = document.RootElement;
        var outcome = GenerationStatusNames.ParseOutcome(Text(root, "outcome")!);
        // With the precision of stored generations, which is also that of filters.
        var at = JobCalls.Stored(root.GetProperty("at").GetDateTimeOffset());
        json.WriteStartObject();
        json.WriteString("id", Text(root, "generation_id"));
        json.WriteString("object", "generation");
        json.WriteString("status", outcome.ToStatus().ToWire());
        json.WriteString("outcome", outcome.ToWire());
        json.WriteString("created_at", at.UtcDateTime);
        json.WriteString("started_at", at.UtcDateTime);
        WriteEnd(json, root, at);
        json.WriteNull("expires_at");
        json.WriteString("class", root.GetProperty("parameters") is { ValueKind: JsonValueKind.Object } parameters
            ? Text(parameters, "class") ?? CallClasses.Default : CallClasses.Default);
        json.WriteString("dialect", Text(root, "dialect"));
        json.WriteNumber("runs", RunOf(Text(root, "id")!));
        json.WriteNull("queue");
        json.WriteString("model_requested", Text(root, "model_requested") ?? "");
        json.WriteNull("delivery");
        json.WriteNull("prompt");
        json.WritePropertyName("metadata");
        if (root.TryGetProperty("metadata", out var metadata)) metadata.WriteTo(json);
        else json.WriteRawValue("{}"u8);
        json.WriteString("model", Text(root, "model"));
        json.WriteString("provider", Text(root, "provider"));
        json.WriteNull("output");
        json.WriteNull("output_text");
        json.WriteBoolean("content_stored", false);
        Copy(json, root, "usage");
        WriteCost(json, root);
        Copy(json, root, "timing_ms");
        json.WriteNull("quality");
        json.WriteNull("limits");
        WriteAttempts(json, root);
        json.WriteNull("warnings");
        foreach (var name in (ReadOnlySpan<string>)["coalesced", "cached", "original_usage"])
        {
            if (root.TryGetProperty(name, out _)) Copy(json, root, name);
        }
        WriteError(json, root, site);
        json.WriteEndObject();
    }

    private static void WriteEnd(Utf8JsonWriter json, JsonElement root, DateTimeOffset at)
    {
        if (root.TryGetProperty("timing_ms", out var timing) && timing.ValueKind == JsonValueKind.Object
            && timing.TryGetProperty("total", out var total) && total.TryGetDouble(out var ms))
        {
            json.WriteString("completed_at", at.AddMilliseconds(Math.Round(ms)).UtcDateTime);
        }
        else
        {
            // The process that ran it was killed: nobody knows when.
            json.WriteNull("completed_at");
        }
    }

    private static void WriteCost(Utf8JsonWriter json, JsonElement root)
    {
        json.WriteStartObject("cost");
        json.WritePropertyName("usd");
        root.GetProperty("cost_usd").WriteTo(json);
        json.WritePropertyName("basis");
        root.GetProperty("usage").GetProperty("basis").WriteTo(json);
        json.WriteEndObject();
    }

    private static void WriteAttempts(Utf8JsonWriter json, JsonElement root)
    {
        json.WriteStartArray("attempts");
        foreach (var attempt in root.GetProperty("attempts").EnumerateArray())
        {
            json.WriteStartObject();
            foreach (var name in AttemptMembers) Copy(json, attempt, name);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void WriteError(Utf8JsonWriter json, JsonElement root, PublicAddress site)
    {
        json.WritePropertyName("error");
        if (Text(root, "error_code") is { } name && ErrorCatalogue.Find(name) is { } definition)
        {
            var error = new GatewayError(definition.Code, definition.Title + ". The message that the client got is not stored.");
            ErrorBodyWriter.WriteBody(json, error, ErrorShape.Problem, Text(root, "request_id")!, site);
        }
        else
        {
            json.WriteNullValue();
        }
    }

    // The record of a further run has its number at the end of its id.
    private static int RunOf(string recordId) =>
        recordId.LastIndexOf('_') is > 4 and var at && int.TryParse(
            recordId.AsSpan(at + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var run) ? run : 1;

    private static string? Text(JsonElement root, string name) =>
        root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static void Copy(Utf8JsonWriter json, JsonElement root, string name)
    {
        json.WritePropertyName(name);
        if (root.TryGetProperty(name, out var value)) value.WriteTo(json);
        else json.WriteNullValue();
    }
}
