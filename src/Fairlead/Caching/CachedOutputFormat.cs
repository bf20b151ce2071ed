using System.Runtime.InteropServices;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Generations.Events;
using Fairlead.Pipeline;

namespace Fairlead.Caching;

/// <summary>The stored form of a kept output, for Redis: reader and writer.</summary>
internal static class CachedOutputFormat
{
    /// <summary>Another version reads nothing of it, and computes the response again.</summary>
    private const int Version = 1;

    public static void Write(Utf8JsonWriter json, CachedOutput output)
    {
        json.WriteStartObject();
        json.WriteNumber("version", Version);
        json.WriteString("deployment", output.Deployment);
        json.WriteString("upstream_model", output.UpstreamModel);
        json.WriteString("fingerprint", output.SystemFingerprint);
        json.WriteString("tier", output.ServiceTier);
        json.WriteNumber("stored_at", output.StoredAt.ToUnixTimeMilliseconds());
        json.WriteNumber("expires_at", output.ExpiresAt.ToUnixTimeMilliseconds());
        Write(json, output.Usage);
        json.WriteStartArray("warnings");
        foreach (var warning in output.Warnings)
        {
            json.WriteStartArray();
            json.WriteStringValue(warning.Code);
            json.WriteStringValue(warning.Message);
            json.WriteEndArray();
        }
        json.WriteEndArray();
        json.WriteStartArray("finishes");
        foreach (var finish in output.Finishes)
        {
            json.WriteStartArray();
            json.WriteNumberValue(finish.Choice);
            json.WriteNumberValue((int)finish.Reason);
            json.WriteStringValue(finish.StopSequence);
            json.WriteEndArray();
        }
        json.WriteEndArray();
        if (output.Offsets is { } offsets)
        {
            json.WriteStartArray("offsets");
            foreach (var offset in offsets) json.WriteNumberValue(offset);
            json.WriteEndArray();
        }
        if (output.Embeddings is { } embeddings)
        {
            json.WritePropertyName("embeddings");
            json.WriteRawValue(embeddings, skipInputValidation: true);
        }
        json.WritePropertyName("events");
        json.WriteRawValue(KeptEvents.Write(output.Events), skipInputValidation: true);
        json.WriteEndObject();
    }

    /// <exception cref="JsonException">Another version wrote it.</exception>
    public static CachedOutput Read(JsonElement json)
    {
        if (json.GetProperty("version").GetInt32() != Version) throw new JsonException("Another version wrote this response.");
        return new CachedOutput
        {
            Deployment = json.GetProperty("deployment").GetString()!,
            UpstreamModel = json.GetProperty("upstream_model").GetString(),
            SystemFingerprint = json.GetProperty("fingerprint").GetString(),
            ServiceTier = json.GetProperty("tier").GetString(),
            StoredAt = DateTimeOffset.FromUnixTimeMilliseconds(json.GetProperty("stored_at").GetInt64()),
            ExpiresAt = DateTimeOffset.FromUnixTimeMilliseconds(json.GetProperty("expires_at").GetInt64()),
            Usage = ReadUsage(json.GetProperty("usage")),
            Warnings =
            [
                .. json.GetProperty("warnings").EnumerateArray().Select(static one => new CallWarning(one[0].GetString()!, one[1].GetString()!)),
            ],
            Finishes =
            [
                .. json.GetProperty("finishes").EnumerateArray().Select(static one =>
                    new ChoiceFinished((FinishReason)one[1].GetInt32()) { Choice = one[0].GetInt32(), StopSequence = one[2].GetString() }),
            ],
            Offsets = json.TryGetProperty("offsets", out var offsets)
                ? [.. offsets.EnumerateArray().Select(static one => one.GetInt32())]
                : null,
            Embeddings = json.TryGetProperty("embeddings", out var embeddings) ? JsonMarshal.GetRawUtf8Value(embeddings).ToArray() : null,
            Events = KeptEvents.Read(JsonMarshal.GetRawUtf8Value(json.GetProperty("events"))),
        };
    }

    private static void Write(Utf8JsonWriter json, in Usage usage)
    {
        json.WriteStartArray("usage");
        json.WriteNumberValue(usage.InputTokens);
        json.WriteNumberValue(usage.OutputTokens);
        json.WriteNumberValue(usage.CachedInputTokens);
        json.WriteNumberValue(usage.CacheWriteTokens);
        json.WriteNumberValue(usage.LongCacheWriteTokens);
        json.WriteNumberValue(usage.AudioInputTokens);
        json.WriteNumberValue(usage.ReasoningTokens);
        json.WriteNumberValue(usage.AudioOutputTokens);
        json.WriteNumberValue((int)usage.Basis);
        json.WriteEndArray();
    }

    private static Usage ReadUsage(JsonElement json) => new(json[0].GetInt64(), json[1].GetInt64())
    {
        CachedInputTokens = json[2].GetInt64(),
        CacheWriteTokens = json[3].GetInt64(),
        LongCacheWriteTokens = json[4].GetInt64(),
        AudioInputTokens = json[5].GetInt64(),
        ReasoningTokens = json[6].GetInt64(),
        AudioOutputTokens = json[7].GetInt64(),
        Basis = (Basis)json[8].GetInt32(),
    };
}
