using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects;

namespace Fairlead.Auditing.Records;

/// <summary>
/// Writes the audit record of a call whose process was killed, from what it left: the record of the start of its last attempt, which lists
/// the attempts before, and the last checkpoint.
/// </summary>
internal static class LostCallRecord
{
    /// <param name="started">The record of the start of its last attempt.</param>
    /// <param name="progressed">The last checkpoint, if there is one.</param>
    /// <returns>The record; null if the start is not one.</returns>
    public static byte[]? Of(byte[] started, byte[]? progressed)
    {
        if (Parse(started) is not JsonObject start || start["running"] is not JsonObject running) return null;
        var charge = running;
        if (progressed is not null && Parse(progressed) is JsonObject progress && (string?)progress["id"] == (string?)running["id"])
            charge = progress;

        var buffer = RecordBuffer.Rent();
        var json = buffer.Json;
        json.WriteStartObject();
        foreach (var (name, value) in start)
        {
            if (name is "attempts" or "running" or "user" or "metadata") continue;
            Write(json, name, value);
        }
        json.WriteNull("prompt");
        json.WriteNull("policy");

        long input = 0, cached = 0, written = 0, output = 0, reasoning = 0;
        decimal cost = 0;
        json.WriteStartArray("attempts");
        foreach (var attempt in start["attempts"] as JsonArray ?? [])
        {
            if (attempt is not JsonObject) continue;
            Add(attempt);
            attempt.WriteTo(json);
        }
        Add(charge);
        json.WriteStartObject();
        foreach (var name in (ReadOnlySpan<string>)["id", "number", "deployment", "provider", "model"]) Write(json, name, running[name]);
        json.WriteString("outcome", "lost");
        json.WriteString("error_code", "internal_error");
        json.WriteNull("upstream_status");
        json.WriteBoolean("sent", true);
        json.WriteNull("duration_ms");
        Write(json, "usage", WithBasis(charge["usage"] as JsonObject));
        Write(json, "cost_usd", charge["cost_usd"]);
        json.WriteString("difference", ChargeDifference.Cut);
        foreach (var name in (ReadOnlySpan<string>)["reported", "reported_cost_usd"])
        {
            if (charge[name] is { } value) Write(json, name, value);
        }
        json.WriteEndObject();
        json.WriteEndArray();

        json.WritePropertyName("usage");
        UsageJson.Write(json, new Usage(input, output)
        {
            CachedInputTokens = cached,
            CacheWriteTokens = written,
            ReasoningTokens = reasoning,
            Basis = Basis.Estimated,
        });
        json.WriteNumber("cost_usd", cost);
        json.WriteString("outcome", "failed");
        json.WriteString("error_code", "internal_error");
        foreach (var name in (ReadOnlySpan<string>)["user", "metadata"])
        {
            if (start[name] is { } value) Write(json, name, value);
        }
        json.WriteNull("status");
        json.WriteStartObject("timing_ms");
        json.WriteEndObject();
        json.WriteNull("content");
        json.WriteEndObject();
        return buffer.Finish().ToArray();

        void Add(JsonNode attempt)
        {
            var usage = attempt["usage"];
            input += Number(usage, "input_tokens");
            cached += Number(usage, "cached_input_tokens");
            written += Number(usage, "cache_write_tokens");
            output += Number(usage, "output_tokens");
            reasoning += Number(usage, "reasoning_tokens");
            if (attempt["cost_usd"] is JsonValue usd && usd.TryGetValue(out decimal amount)) cost += amount;
        }
    }

    private static JsonObject? WithBasis(JsonObject? usage)
    {
        if (usage is null) return null;
        usage["basis"] = "estimated";
        return usage;
    }

    private static void Write(Utf8JsonWriter json, string name, JsonNode? value)
    {
        json.WritePropertyName(name);
        if (value is null) json.WriteNullValue();
        else value.WriteTo(json);
    }

    private static JsonNode? Parse(byte[] payload)
    {
        try
        {
            return JsonNode.Parse(payload);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static long Number(JsonNode? node, string name) => node?[name] is JsonValue value && value.TryGetValue(out long number)
        ? number : 0;
}
