using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Webhooks;

namespace Fairlead.Generations;

/// <summary>
/// Writes the webhook payload of a generation that has ended: how it ended, but not its output, which receivers fetch by its id.
/// </summary>
internal static class GenerationWebhookPayload
{
    private static readonly string[] FromDetails = ["model", "provider", "usage", "cost", "error"];

    public static WebhookEvent Of(
        string id, GenerationEnd end, string projectId, string dialect, string model, DateTimeOffset createdAt, string? url)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(buffer, ErrorBodyWriter.WriterOptions))
        {
            json.WriteStartObject();
            json.WriteString("id", id);
            json.WriteString("object", "generation");
            json.WriteString("status", end.Status.ToWire());
            json.WriteString("outcome", end.Outcome.ToWire());
            json.WriteTime("created_at", createdAt);
            json.WriteTime("completed_at", end.EndedAt);
            json.WriteTime("expires_at", end.ExpiresAt);
            json.WriteString("dialect", dialect);
            json.WriteString("model_requested", model);
            foreach (var name in FromDetails) GenerationDetails.CopyTo(json, name, end.Details);
            json.WriteEndObject();
        }
        return new WebhookEvent(projectId, "generation." + end.Status.ToWire(), end.EndedAt, buffer.WrittenSpan.ToArray(), url);
    }
}
