using System.Globalization;
using System.Text.Json;
using Fairlead.Conversation;

namespace Fairlead.Auditing.Ledger;

/// <summary>Writes the reconciliation. In every line, the differences of its causes add up to the whole difference.</summary>
internal static class ReconciliationJson
{
    public static void Write(Utf8JsonWriter json, ReconciliationPage page)
    {
        json.WriteStartObject();
        json.WriteStartArray("data");
        foreach (var line in page.Lines) Write(json, line);
        json.WriteEndArray();
        json.WriteString("next_cursor", page.Next?.ToString());
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, ReconciliationLine line)
    {
        var (reported, charged, attempts) = (default(ReconciledUsage), default(ReconciledUsage), 0L);
        foreach (var part in line.Parts)
        {
            reported += part.Reported;
            charged += part.Charged;
            attempts += part.Attempts;
        }
        json.WriteStartObject();
        json.WriteString("day", line.Day.UtcDateTime.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture));
        json.WriteString("provider", line.Provider);
        json.WriteString("model", line.Model);
        json.WriteNumber("attempts", attempts);
        Write(json, "reported", reported);
        Write(json, "charged", charged);
        Write(json, "difference", charged - reported);
        json.WriteStartArray("causes");
        foreach (var part in line.Parts)
        {
            if (part.Cause.Length == 0) continue;
            json.WriteStartObject();
            json.WriteString("cause", part.Cause);
            json.WriteNumber("attempts", part.Attempts);
            WriteMembers(json, part.Charged - part.Reported);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, string name, in ReconciledUsage usage)
    {
        json.WriteStartObject(name);
        WriteMembers(json, usage);
        json.WriteEndObject();
    }

    private static void WriteMembers(Utf8JsonWriter json, in ReconciledUsage usage)
    {
        json.WriteNumber("input_tokens", usage.InputTokens);
        json.WriteNumber("cached_input_tokens", usage.CachedInputTokens);
        json.WriteNumber("cache_write_tokens", usage.CacheWriteTokens);
        json.WriteNumber("output_tokens", usage.OutputTokens);
        json.WriteNumber("reasoning_tokens", usage.ReasoningTokens);
        json.WriteNumber("cost_usd", Money.Trim(usage.CostUsd));
    }
}
