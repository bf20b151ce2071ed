using System.Buffers;
using System.Text.Json;

namespace Fairlead.Providers.Simulated;

/// <summary>
/// A moderation model without any model: a category is flagged if its name occurs in the text. Deterministic.
/// </summary>
internal static class SimulatedModeration
{
    private static readonly string[] Categories =
    [
        "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm", "self-harm/intent",
        "self-harm/instructions", "sexual", "sexual/minors", "violence", "violence/graphic",
    ];

    /// <param name="request">A request that was checked.</param>
    public static byte[] Answer(ReadOnlyMemory<byte> request)
    {
        using var document = JsonDocument.Parse(request);
        var input = document.RootElement.GetProperty("input");
        var output = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(output))
        {
            json.WriteStartObject();
            json.WriteString("id", "modr-simulated");
            json.WriteString("model", "simulated");
            json.WriteStartArray("results");
            if (input.ValueKind == JsonValueKind.String) Write(json, input.GetString()!);
            else if (input[0].ValueKind == JsonValueKind.Object) Write(json, string.Join('\n', input.EnumerateArray().Select(TextOf)));
            else foreach (var text in input.EnumerateArray()) Write(json, text.GetString()!);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        return output.WrittenSpan.ToArray();
    }

    private static string TextOf(JsonElement part) => part.TryGetProperty("text", out var text) ? text.GetString()! : "";

    private static void Write(Utf8JsonWriter json, string text)
    {
        var flagged = Categories.Where(category => text.Contains(category, StringComparison.OrdinalIgnoreCase)).ToHashSet();
        json.WriteStartObject();
        json.WriteBoolean("flagged", flagged.Count > 0);
        json.WriteStartObject("categories");
        foreach (var category in Categories) json.WriteBoolean(category, flagged.Contains(category));
        json.WriteEndObject();
        json.WriteStartObject("category_scores");
        foreach (var category in Categories) json.WriteNumber(category, flagged.Contains(category) ? 0.99 : 0.01);
        json.WriteEndObject();
        json.WriteStartObject("category_applied_input_types");
        foreach (var category in Categories)
        {
            json.WriteStartArray(category);
            json.WriteStringValue("text");
            json.WriteEndArray();
        }
        json.WriteEndObject();
        json.WriteEndObject();
    }
}
