using System.Buffers;
using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Http;

namespace Fairlead.Webhooks;

/// <summary>Writes webhooks and deliveries in the form of the API.</summary>
internal static class WebhookWriter
{
    /// <summary>The object without its secret, for an event.</summary>
    public static byte[] Write(Webhook webhook)
    {
        var output = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions)) Write(json, webhook, withSecret: false);
        return output.WrittenSpan.ToArray();
    }

    /// <param name="json">Receives the object.</param>
    /// <param name="webhook">The webhook.</param>
    /// <param name="withSecret">Whether this response created the secret; no other response shows it.</param>
    public static void Write(Utf8JsonWriter json, Webhook webhook, bool withSecret)
    {
        var isHmac = webhook.Key.Kind == WebhookSignature.Hmac;
        json.WriteStartObject();
        json.WriteString("id", webhook.Id);
        json.WriteString("object", "webhook");
        if (WebhookOwner.IsOrganization(webhook.OwnerId)) json.WriteString("organization_id", webhook.OwnerId);
        json.WriteString("url", webhook.Url);
        json.WriteString("description", webhook.Description);
        json.WriteTexts("events", webhook.Events);
        json.WriteString("signature", WebhookRow.Signature(webhook.Key.Kind));
        json.WriteString("public_key", isHmac ? null : webhook.Key.ReceiverText);
        json.WriteString("status", webhook.Enabled ? "enabled" : "disabled");
        json.WriteString("disabled_reason", webhook.DisabledReason);
        json.WriteTime("failing_since", webhook.FailingSince);
        json.WriteTime("previous_secret_until", webhook.PreviousUntil);
        json.WriteTime("created_at", webhook.CreatedAt);
        json.WriteTime("updated_at", webhook.UpdatedAt);
        if (withSecret && isHmac) json.WriteString("secret", webhook.Key.ReceiverText);
        json.WriteEndObject();
    }

    /// <param name="json">Receives the object.</param>
    /// <param name="delivery">The delivery.</param>
    /// <param name="history">Its attempts; null in a list, which shows neither them nor the payload.</param>
    public static void Write(Utf8JsonWriter json, WebhookDelivery delivery, IReadOnlyList<WebhookAttempt>? history)
    {
        json.WriteStartObject();
        json.WriteString("id", delivery.Id);
        json.WriteString("object", "webhook.delivery");
        json.WriteString("webhook_id", delivery.WebhookId);
        json.WriteString("url", delivery.Url);
        json.WriteString("event_id", delivery.EventId);
        json.WriteString("type", delivery.Type);
        json.WriteString("status", delivery.Status.ToWire());
        json.WriteNumber("attempts", delivery.Attempts);
        json.WriteTime("next_attempt_at", delivery.Status == WebhookDeliveryStatus.Pending ? delivery.NextAt : null);
        if (delivery.LastStatusCode is { } code) json.WriteNumber("last_status_code", code);
        else json.WriteNull("last_status_code");
        json.WriteString("last_error", delivery.LastError);
        json.WriteTime("created_at", delivery.CreatedAt);
        json.WriteTime("ended_at", delivery.EndedAt);
        if (history is not null)
        {
            json.WriteStartArray("history");
            foreach (var attempt in history) Write(json, attempt);
            json.WriteEndArray();
            json.WritePropertyName("payload");
            json.WriteRawValue(delivery.Payload);
        }
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, WebhookAttempt attempt)
    {
        json.WriteStartObject();
        json.WriteNumber("number", attempt.Number);
        json.WriteTime("at", attempt.At);
        json.WriteNumber("duration_ms", (long)attempt.Duration.TotalMilliseconds);
        if (attempt.StatusCode is { } code) json.WriteNumber("status_code", code);
        else json.WriteNull("status_code");
        json.WriteString("error", attempt.Error);
        json.WriteEndObject();
    }
}
