using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.Quirks;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// Converts between a whole Response object and its events, for providers that send one although the other was requested.
/// </summary>
internal static class ResponsesDocument
{
    private static readonly JsonDocumentOptions Parsing = new() { MaxDepth = 1024 };

    /// <summary>
    /// The last event of a whole response, from which its scanner creates the others; none when it is not a finished response.
    /// </summary>
    public static IEnumerable<byte[]> EventsOf(ReadOnlyMemory<byte> document)
    {
        try
        {
            if (JsonNode.Parse(document.Span, documentOptions: Parsing) is not JsonObject response || response["error"] is JsonObject)
            {
                return [];
            }
            ResponseItems.RepairWhole(response, static () => { });
            if (response["object"]?.GetValue<string>() != "response" || response["output"] is not JsonArray) return [];
            return [ResponseJson.Bytes(new JsonObject { ["type"] = "response.done", ["response"] = response.DeepClone() })];
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            return [];
        }
    }

    /// <summary>The response in the last event of a stream, with the content of all events; null if there is none.</summary>
    public static byte[]? WholeOf(ReadOnlySpan<byte> events)
    {
        using var parser = new SseParser();
        parser.Append(events);
        parser.Append("\n\n"u8);
        var normaliser = new ResponsesNormaliser(new OutputMeter());
        var halves = new HalfCharacters();
        byte[]? whole = null;
        while (whole is null && parser.TryRead(out var name, out var data))
        {
            if (!halves.IsHolding && HalfCharacters.FindLone(data) < 0)
            {
                whole = WholeIn(normaliser, name, data);
                continue;
            }
            var repaired = halves.Repair(name, data, out var before);
            foreach (var (heldName, held) in before) whole ??= WholeIn(normaliser, heldName, held);
            whole ??= WholeIn(normaliser, name, repaired);
        }
        return whole;
    }

    private static byte[]? WholeIn(ResponsesNormaliser normaliser, ReadOnlySpan<byte> name, ReadOnlySpan<byte> data)
    {
        if (normaliser.Normalise(name, data) is not { } made) return ResponseIn(data);
        byte[]? whole = null;
        foreach (var (_, one) in made) whole ??= ResponseIn(one);
        return whole;
    }

    private static byte[]? ResponseIn(ReadOnlySpan<byte> data)
    {
        try
        {
            if (NativeChunk.Text(data, "type"u8) is not ("response.completed" or "response.incomplete" or "response.failed")) return null;
            var range = NativeChunk.Find(data, "response"u8, JsonTokenType.StartObject);
            return range.IsEmpty ? null : data.Slice(range.Start, range.Length).ToArray();
        }
        catch (JsonException)
        {
            // An unreadable event is not the last one.
            return null;
        }
    }
}
