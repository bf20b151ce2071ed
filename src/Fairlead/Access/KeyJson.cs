using System.Text.Json;
using Fairlead.Http;
using Fairlead.Pipeline;

namespace Fairlead.Access;

/// <summary>Writes a key as JSON. Never with a hash; with a secret only in the response that creates it.</summary>
internal static class KeyJson
{
    public static void Write(Utf8JsonWriter json, ApiKeyRow row, DateTimeOffset now, string? secret = null,
        IReadOnlyList<CallWarning>? warnings = null)
    {
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        json.WriteString("object", "key");
        json.WriteString("name", row.Name);
        json.WriteString("project_id", row.ProjectId);
        json.WriteString("status", row.RevokedAt is not null ? "revoked" : row.ExpiresAt <= now ? "expired" : "active");
        json.WriteTexts("scopes", row.Scopes);
        json.WriteString("role", row.Role);
        json.WriteString("organization_id", row.RoleOrganizationId);
        json.WriteTexts("models", row.Models);
        json.WriteTexts("classes", row.Classes);
        json.WriteString("default_class", row.DefaultClass);
        json.WriteTexts("addresses", row.Addresses);
        json.WriteTime("expires_at", row.ExpiresAt);
        json.WriteString("api_version", row.ApiVersion);
        json.WriteString("extensions", row.Extensions ? "all" : "none");
        json.WriteOptionalNumber("batch_tokens", row.BatchTokens);
        json.WriteOptionalNumber("batch_delay_ms", row.BatchDelayMs);
        json.WriteString("rescue", row.Rescue);
        json.WriteString("cache", row.Cache);
        json.WriteString("audit_content", row.AuditContent);
        LimitsField.Write(json, row.Limits);
        json.WriteStartArray("secrets");
        foreach (var known in row.Secrets.OrderBy(known => known.CreatedAt).ThenBy(known => known.PublicId, StringComparer.Ordinal))
        {
            json.WriteStartObject();
            json.WriteString("prefix", ApiKeyText.Prefix + known.PublicId);
            json.WriteTime("created_at", known.CreatedAt);
            json.WriteTime("retires_at", known.RetiresAt);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteTime("last_used_at", row.LastUsedAt);
        json.WriteTime("revoked_at", row.RevokedAt);
        json.WriteTime("created_at", row.CreatedAt);
        json.WriteTime("updated_at", row.UpdatedAt);
        if (secret is not null) json.WriteString("secret", secret);
        if (warnings is not null)
        {
            json.WriteStartArray("warnings");
            foreach (var warning in warnings)
            {
                json.WriteStartObject();
                json.WriteString("code", warning.Code);
                json.WriteString("message", warning.Message);
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }
        json.WriteEndObject();
    }
}
