using System.Data.Common;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Fairlead.Webhooks;

/// <summary>Columns of the tables and what is read from them.</summary>
internal static class WebhookRow
{
    public const string Webhook = "id, project_id, url, description, events, signature, secret, previous_secret, previous_until, status, disabled_reason, failing_since, created_at, updated_at";

    public const string Delivery = "id, webhook_id, url, event_id, type, payload, status, attempts, step, next_at, last_status_code, last_error, created_at, ended_at";

    public static Webhook ReadWebhook(DbDataReader row)
    {
        var kind = row.GetString(5) == "v1a" ? WebhookSignature.Ed25519 : WebhookSignature.Hmac;
        return new Webhook
        {
            Id = row.GetString(0),
            ProjectId = row.GetString(1),
            Url = TextOrNull(row, 2),
            Description = TextOrNull(row, 3),
            Events = JsonSerializer.Deserialize(row.GetString(4), WebhookJsonContext.Default.StringArray) ?? [],
            Key = new WebhookKey(kind, row.GetFieldValue<byte[]>(6)),
            PreviousKey = row.IsDBNull(7) ? null : new WebhookKey(kind, row.GetFieldValue<byte[]>(7)),
            PreviousUntil = TimeOrNull(row, 8),
            Enabled = row.GetString(9) == "enabled",
            DisabledReason = TextOrNull(row, 10),
            FailingSince = TimeOrNull(row, 11),
            CreatedAt = TimeOrNull(row, 12)!.Value,
            UpdatedAt = TimeOrNull(row, 13)!.Value,
        };
    }

    public static WebhookDelivery ReadDelivery(DbDataReader row) => new()
    {
        Id = row.GetString(0),
        WebhookId = row.GetString(1),
        Url = TextOrNull(row, 2),
        EventId = row.GetString(3),
        Type = row.GetString(4),
        Payload = row.GetFieldValue<byte[]>(5),
        Status = WebhookDeliveryStatusNames.Parse(row.GetString(6)),
        Attempts = (int)row.GetInt64(7),
        Step = (int)row.GetInt64(8),
        NextAt = TimeOrNull(row, 9)!.Value,
        LastStatusCode = row.IsDBNull(10) ? null : (int)row.GetInt64(10),
        LastError = TextOrNull(row, 11),
        CreatedAt = TimeOrNull(row, 12)!.Value,
        EndedAt = TimeOrNull(row, 13),
    };

    public static WebhookAttempt ReadAttempt(DbDataReader row) =>
        new((int)row.GetInt64(0), TimeOrNull(row, 1)!.Value, TimeSpan.FromMilliseconds(row.GetInt64(2)), row.IsDBNull(3) ? null : (int)row.GetInt64(3), TextOrNull(row, 4));

    public static string Events(IReadOnlyList<string> events) => JsonSerializer.Serialize([.. events], WebhookJsonContext.Default.StringArray);

    public static string Signature(WebhookSignature kind) => kind == WebhookSignature.Ed25519 ? "v1a" : "v1";

    private static string? TextOrNull(DbDataReader row, int column) => row.IsDBNull(column) ? null : row.GetString(column);

    private static DateTimeOffset? TimeOrNull(DbDataReader row, int column) => row.IsDBNull(column) ? null : DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(column));
}

[JsonSerializable(typeof(string[]))]
internal sealed partial class WebhookJsonContext : JsonSerializerContext;
