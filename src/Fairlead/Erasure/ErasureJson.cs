using System.Text.Json;
using Fairlead.Http;

namespace Fairlead.Erasure;

/// <summary>Writes the erasure object. The name of an end user is not in it: nobody knows it any more.</summary>
internal static class ErasureJson
{
    public static void Write(Utf8JsonWriter json, ErasureRow row, IReadOnlyDictionary<string, long> counts)
    {
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        json.WriteString("object", "erasure");
        json.WriteString("status", row.Status);
        WriteSelector(json, row.Selector, withHash: true);
        json.WriteString("what", row.What);
        json.WriteString("reason", row.Reason);
        json.WriteStartObject("counts");
        foreach (var (store, count) in counts) json.WriteNumber(store, count);
        json.WriteEndObject();
        json.WriteString("error", row.Error);
        json.WriteTime("created_at", row.CreatedAt);
        json.WriteTime("completed_at", row.CompletedAt);
        json.WriteEndObject();
    }

    /// <summary>What the record of the request has of it: no hash of an end user, as records stay longer than anything else.</summary>
    public static void WriteRecord(Utf8JsonWriter json, ErasureRow row)
    {
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        WriteSelector(json, row.Selector, withHash: false);
        json.WriteString("what", row.What);
        json.WriteString("reason", row.Reason);
        json.WriteEndObject();
    }

    private static void WriteSelector(Utf8JsonWriter json, ErasureSelector selector, bool withHash)
    {
        json.WriteStartObject("selector");
        json.WriteString("type", selector.Kind.ToWire());
        json.WriteString("id", selector.TargetId);
        if (withHash)
        {
            json.WriteString("end_user_hash", selector.UserHash is null ? null
                : $"{Convert.ToHexStringLower(selector.Salt!)}:{Convert.ToHexStringLower(selector.UserHash)}");
        }
        json.WriteString("project_id", selector.ProjectId);
        json.WriteString("organization_id", selector.OrganizationId);
        json.WriteEndObject();
    }
}
