using System.Text.Json;
using System.Text.Json.Serialization;
using Fairlead.Storage;

namespace Fairlead.Webhooks;

/// <summary>Columns of the tables and what is read from them.</summary>
internal static class WebhookRow
{
    public const string Webhook = """
        id, project_id, url, description, events, signature, secret, previous_secret, previous_until, status, disabled_reason, failing_since,
        created_at, updated_at
        """;

    public const string Delivery = """
        id, webhook_id, url, event_id, type, payload, status, attempts, step, next_at, last_status_code, last_error, created_at, ended_at
        """;

    public static Webhook ReadWebhook(SqlRow row)
    {
        var kind = row.Text("signature") == "v1a" ? WebhookSignature.Ed25519 : WebhookSignature.Hmac;
        return new Webhook
        {
            Id = row.Text("id"),
            OwnerId = row.Text("project_id"),
            Url = row.TextOrNull("url"),
            Description = row.TextOrNull("description"),
            Events = JsonSerializer.Deserialize(row.Text("events"), WebhookJsonContext.Default.StringArray) ?? [],
            Key = new WebhookKey(kind, row.Bytes("secret")),
            PreviousKey = row.BytesOrNull("previous_secret") is { } previous ? new WebhookKey(kind, previous) : null,
            PreviousUntil = row.TimeOrNull("previous_until"),
            Enabled = row.Text("status") == "enabled",
            DisabledReason = row.TextOrNull("disabled_reason"),
            FailingSince = row.TimeOrNull("failing_since"),
            CreatedAt = row.Time("created_at"),
            UpdatedAt = row.Time("updated_at"),
        };
    }

    public static WebhookDelivery ReadDelivery(SqlRow row) => new()
    {
        Id = row.Text("id"),
        WebhookId = row.Text("webhook_id"),
        Url = row.TextOrNull("url"),
        EventId = row.Text("event_id"),
        Type = row.Text("type"),
        Payload = row.Bytes("payload"),
        Status = WebhookDeliveryStatusNames.Parse(row.Text("status")),
        Attempts = row.Int32("attempts"),
        Step = row.Int32("step"),
        NextAt = row.Time("next_at"),
        LastStatusCode = row.Int32OrNull("last_status_code"),
        LastError = row.TextOrNull("last_error"),
        CreatedAt = row.Time("created_at"),
        EndedAt = row.TimeOrNull("ended_at"),
    };

    public static WebhookAttempt ReadAttempt(SqlRow row) => new(
        row.Int32("number"), row.Time("at"), TimeSpan.FromMilliseconds(row.Int64("duration_ms")), row.Int32OrNull("status_code"),
        row.TextOrNull("error"));

    public static string Events(IReadOnlyList<string> events) =>
        JsonSerializer.Serialize([.. events], WebhookJsonContext.Default.StringArray);

    public static string Signature(WebhookSignature kind) => kind == WebhookSignature.Ed25519 ? "v1a" : "v1";
}

[JsonSerializable(typeof(string[]))]
internal sealed partial class WebhookJsonContext : JsonSerializerContext;
