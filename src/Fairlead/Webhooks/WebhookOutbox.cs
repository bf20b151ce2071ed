using System.Buffers;
using System.Data.Common;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Storage;

namespace Fairlead.Webhooks;

/// <inheritdoc/>
internal sealed class WebhookOutbox(IStorage storage, WebhookStore webhooks, TimeProvider time) : IWebhookOutbox
{
    /// <summary>Channel on which nodes notify each other of new deliveries.</summary>
    public const string Channel = "webhooks";

    public async Task<int> AddAsync(
        DbConnection connection, DbTransaction transaction, WebhookEvent happened, CancellationToken cancellationToken)
    {
        var owners = "project_id IN (@owner, @organization)";
        if (happened.ForAllProjects) owners = $"({owners} OR project_id IN (SELECT id FROM projects WHERE organization_id = @organization))";
        var enabled = await connection.QueryAsync(
            $"SELECT {WebhookRow.Webhook} FROM webhooks WHERE {owners} AND url IS NOT NULL AND status = 'enabled' ORDER BY id",
            [("@owner", happened.OwnerId), ("@organization", happened.OrganizationId ?? happened.OwnerId)], WebhookRow.ReadWebhook,
            cancellationToken);
        var receivers = new List<(Webhook Webhook, string? Url)>();
        foreach (var webhook in enabled)
        {
            if (webhook.Wants(happened.Type)) receivers.Add((webhook, null));
        }
        if (happened.Url is { } url) receivers.Add((await webhooks.OfRequestsAsync(connection, happened.OwnerId, cancellationToken), url));
        if (receivers.Count == 0) return 0;

        // One id for the event: a receiver that gets it in two ways can tell that it is the same.
        var eventId = Ids.New("evt_", time);
        var payload = Payload(happened);
        await WebhookDeliveryStore.AddAsync(
            connection, receivers.ConvertAll(one => (one.Webhook.OwnerId, New(one.Webhook.Id, one.Url, eventId, happened.Type, payload))),
            cancellationToken);
        return receivers.Count;
    }

    /// <summary>Adds one delivery to one webhook, whichever types of events it subscribes to.</summary>
    public async Task<WebhookDelivery> AddAsync(Webhook webhook, WebhookEvent happened, CancellationToken cancellationToken)
    {
        var delivery = New(webhook.Id, happened.Url, Ids.New("evt_", time), happened.Type, Payload(happened));
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await WebhookDeliveryStore.AddAsync(connection, [(webhook.OwnerId, delivery)], cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        Announce();
        return delivery;
    }

    public void Announce() => storage.Notifier.Announce(Channel, "");

    private WebhookDelivery New(string webhook, string? url, string eventId, string type, byte[] payload)
    {
        var now = time.GetUtcNow();
        return new WebhookDelivery
        {
            Id = Ids.New("whd_", time), WebhookId = webhook, Url = url, EventId = eventId, Type = type, Payload = payload,
            NextAt = now, CreatedAt = now,
        };
    }

    private static byte[] Payload(WebhookEvent happened)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(buffer, ErrorBodyWriter.WriterOptions))
        {
            json.WriteStartObject();
            json.WriteString("type", happened.Type);
            json.WriteTime("timestamp", happened.At);
            json.WritePropertyName("data");
            json.WriteRawValue(happened.Data);
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }
}
