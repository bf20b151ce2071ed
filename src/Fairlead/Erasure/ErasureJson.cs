using System.Text.Json;
using Fairlead.Access.Tokens;
using Fairlead.Http;

namespace Fairlead.Erasure;

/// <summary>
/// Writes the erasure object. The name of an end user is not in it, and no hash against which names could be tried: nobody knows it any more.
/// </summary>
internal static class ErasureJson
{
    public static void Write(Utf8JsonWriter json, ErasureRow row, IReadOnlyDictionary<string, long> counts)
    {
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        json.WriteString("object", "erasure");
        json.WriteString("status", row.Status);
        WriteSelector(json, row.Selector);
        json.WriteString("what", row.What);
        json.WriteString("reason", row.Reason);
        json.WriteStartObject("counts");
        foreach (var (store, count) in counts) json.WriteNumber(store, count);
        json.WriteEndObject();
        json.WriteString("error", row.Error);
        json.WriteString("waiting_for", row.WaitingFor);
        json.WriteTime("created_at", row.CreatedAt);
        json.WriteTime("completed_at", row.CompletedAt);
        json.WriteEndObject();
    }

    /// <summary>What the record of the request has of it. Records stay longer than anything else.</summary>
    public static void WriteRecord(Utf8JsonWriter json, ErasureRow row)
    {
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        WriteSelector(json, row.Selector);
        json.WriteString("what", row.What);
        json.WriteString("reason", row.Reason);
        json.WriteEndObject();
    }

    private static void WriteSelector(Utf8JsonWriter json, ErasureSelector selector)
    {
        json.WriteStartObject("selector");
        json.WriteString("type", selector.Kind.ToWire());
        // The id of a caller with a token has the name that its issuer gave a person.
        json.WriteString("id", selector is { Kind: ErasureKind.Key, TargetId: { } id } && TokenKeyId.Is(id) ? null : selector.TargetId);
        json.WriteString("project_id", selector.ProjectId);
        json.WriteString("organization_id", selector.OrganizationId);
        json.WriteEndObject();
    }
}
