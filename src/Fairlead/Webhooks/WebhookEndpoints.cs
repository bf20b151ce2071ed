using System.Buffers;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Security;
using Microsoft.Extensions.Logging;

namespace Fairlead.Webhooks;

/// <summary>The webhooks of one <see cref="WebhookFamily"/>. Those of others are not found.</summary>
internal sealed class WebhookEndpoints(WebhookFamily family, WebhookStore store, WebhookOutbox outbox, WebhookRules rules,
    TimeProvider time, ILogger<WebhookEndpoints> logger, IAdminAudit? audit = null)
{
    public const string Prefix = "whk_";

    private const int MaxDescription = 256;
    private const int DefaultOverlapSeconds = 24 * 60 * 60;
    private const int MaxOverlapSeconds = 30 * 24 * 60 * 60;

    private static readonly FieldSet ChangeFields = new(["url", "events", "description", "status"], new Dictionary<string, string>
    {
        ["signature"] = "A webhook keeps its kind of signature; create another one.",
    });
    private static readonly FieldSet RotationFields = new(["overlap_seconds"]);

    public async Task<EndpointResult> ListAsync(EndpointRequest request)
    {
        var page = ListPage.Read(request, Prefix, [.. family.Filters]);
        var rows = await store.ListAsync(family.Listed(request, page), page.After, page.Limit + 1, request.Cancellation);
        return page.ToResult(rows, row => row.Id, (json, row) => WebhookWriter.Write(json, row, withSecret: false));
    }

    public async Task<EndpointResult> GetAsync(EndpointRequest request) => Result(await FindAsync(request), withSecret: false);

    /// <summary>The webhook that signs deliveries to the addresses of single requests: those receivers need its public key.</summary>
    public async Task<EndpointResult> OfRequestsAsync(EndpointRequest request) =>
        Result(await store.OfRequestsAsync(request.Caller.ProjectId, request.Cancellation), withSecret: false);

    public async Task<EndpointResult> CreateAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var fields = new BodyFields(body.RootElement, family.NewFields);
        var owner = await family.ReadOwnerAsync(request, fields);
        if (!fields.HasValue("url")) fields.Missing("url");
        var url = Url(fields);
        var events = Events(fields);
        var description = fields.Text("description", MaxDescription);
        var signature = fields.OneOf("signature", "v1", "v1a");
        fields.ThrowIfInvalid();

        var now = time.GetUtcNow();
        var webhook = new Webhook
        {
            Id = Ids.New(Prefix, time), OwnerId = owner!, Url = url, Description = description, Events = events ?? [WebhookEvents.Every],
            Key = WebhookKey.New(signature == "v1a" ? WebhookSignature.Ed25519 : WebhookSignature.Hmac), CreatedAt = now, UpdatedAt = now,
        };
        if (!await store.AddAsync(webhook, RecordOf(request, "create"), request.Cancellation))
        {
            throw EndpointErrors.Conflict($"The {family.OwnerName} has {WebhookStore.MaxPerOwner} webhooks, which is the maximum.",
                $"Delete one that is no longer needed; GET {family.Path} lists them.");
        }

        audit?.Committed();
        WebhooksLog.Changed(logger, "Created webhook", webhook.Id, request.Caller.KeyId);
        return EndpointResult.Created(request.Site, $"{family.Path}/{webhook.Id}",
            json => WebhookWriter.Write(json, webhook, withSecret: true));
    }

    public async Task<EndpointResult> ChangeAsync(EndpointRequest request)
    {
        using var body = await request.ReadJsonAsync();
        var fields = new BodyFields(body.RootElement, ChangeFields);
        var known = await FindAsync(request);
        foreach (var name in (string[])["url", "events", "description"])
        {
            if (known.Url is null && fields.Has(name))
                fields.Invalid(name, "This webhook signs deliveries to the addresses of single requests and does not have this field.");
        }
        if (fields.Has("url") && !fields.HasValue("url")) fields.Invalid("url", "Must not be null.");
        var url = Url(fields);
        var events = Events(fields);
        var description = fields.Text("description", MaxDescription);
        var status = fields.OneOf("status", "enabled", "disabled");
        if (fields.Has("status") && !fields.HasValue("status")) fields.Invalid("status", "Must not be null.");
        fields.ThrowIfInvalid();

        var changed = await store.ChangeAsync(
            family.Visible(request), request.Id, webhook => Changed(webhook), RecordOf(request, "update"), request.Cancellation)
            ?? throw NotFound();
        audit?.Committed();
        WebhooksLog.Changed(logger, "Changed webhook", changed.Id, request.Caller.KeyId);
        // Deliveries that waited for it may be sent now.
        if (changed.Enabled) outbox.Announce();
        return Result(changed, withSecret: false);

        Webhook Changed(Webhook webhook)
        {
            webhook = webhook with
            {
                Url = url ?? webhook.Url,
                // A new address has not failed yet.
                FailingSince = url is null || url == webhook.Url ? webhook.FailingSince : null,
                Events = fields.Has("events") ? events ?? [WebhookEvents.Every] : webhook.Events,
                Description = fields.Has("description") ? description : webhook.Description,
            };
            return status switch
            {
                "enabled" => webhook with { Enabled = true, DisabledReason = null, FailingSince = webhook.Enabled ? webhook.FailingSince
                    : null },
                "disabled" => webhook with { Enabled = false, DisabledReason = webhook.DisabledReason ?? "request" },
                _ => webhook,
            };
        }
    }

    public async Task<EndpointResult> DeleteAsync(EndpointRequest request)
    {
        if (!await store.DeleteAsync(family.Visible(request), request.Id, RecordOf(request, "delete"), request.Cancellation))
            throw NotFound();
        audit?.Committed();
        WebhooksLog.Changed(logger, "Deleted webhook", request.Id, request.Caller.KeyId);
        return EndpointResult.NoContent();
    }

    /// <summary>A new key. The old one also signs for a while, so that receivers can change without a gap.</summary>
    public async Task<EndpointResult> RotateAsync(EndpointRequest request)
    {
        using var body = await request.ReadOptionalJsonAsync();
        var fields = new BodyFields(body.RootElement, RotationFields);
        var overlap = TimeSpan.FromSeconds(fields.Integer("overlap_seconds", 0, MaxOverlapSeconds) ?? DefaultOverlapSeconds);
        fields.ThrowIfInvalid();

        var now = time.GetUtcNow();
        var changed = await store.ChangeAsync(family.Visible(request), request.Id, webhook => webhook with
        {
            Key = WebhookKey.New(webhook.Key.Kind),
            PreviousKey = overlap > TimeSpan.Zero ? webhook.Key : null,
            PreviousUntil = overlap > TimeSpan.Zero ? DateTimeOffset.FromUnixTimeMilliseconds((now + overlap).ToUnixTimeMilliseconds())
                : null,
        }, RecordOf(request, "rotate"), request.Cancellation) ?? throw NotFound();
        audit?.Committed();
        WebhooksLog.Changed(logger, "Rotated webhook", changed.Id, request.Caller.KeyId);
        return Result(changed, withSecret: true);
    }

    /// <summary>Sends a test event, to check that it arrives.</summary>
    public async Task<EndpointResult> TestAsync(EndpointRequest request)
    {
        using var body = await request.ReadOptionalJsonAsync();
        new BodyFields(body.RootElement, FieldSet.None).ThrowIfInvalid();
        var webhook = await FindAsync(request);
        if (webhook.Url is null)
        {
            throw EndpointErrors.Conflict("This webhook has no address to which a test could be sent.",
                "Name an address in a request, or test a webhook that has one.");
        }

        if (!webhook.Enabled)
            throw EndpointErrors.Conflict("The webhook is disabled.", "Enable it first: PATCH it with {\"status\":\"enabled\"}.");

        var data = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(data))
        {
            json.WriteStartObject();
            json.WriteString("id", webhook.Id);
            json.WriteString("object", "webhook");
            json.WriteEndObject();
        }
        var delivery = await outbox.AddAsync(webhook,
            new WebhookEvent(webhook.OwnerId, WebhookEvents.Test, time.GetUtcNow(), data.WrittenSpan.ToArray()), request.Cancellation);
        if (audit is not null && family.IsAdministration) audit.Record(ActionOf(request, "test", null, webhook));
        return EndpointResult.Accepted(request.Site, $"{family.Path}/deliveries/{delivery.Id}",
            json => WebhookWriter.Write(json, delivery, []));
    }

    private WebhookRecord? RecordOf(EndpointRequest request, string verb) => audit is null || !family.IsAdministration ? null
        : (connection, before, after) => audit.RecordAsync(connection, ActionOf(request, verb, before, after), request.Cancellation);

    private static AdminAction ActionOf(EndpointRequest request, string verb, Webhook? before, Webhook? after) =>
        new(request.Actor, "webhook." + verb)
        {
            ResourceType = "webhook",
            ResourceId = (after ?? before)!.Id,
            OrganizationId = (after ?? before)!.OwnerId,
            Before = before is null ? null : json => WebhookWriter.Write(json, before, withSecret: false),
            After = after is null ? null : json => WebhookWriter.Write(json, after, withSecret: false),
        };

    private async Task<Webhook> FindAsync(EndpointRequest request) =>
        await store.FindAsync(family.Visible(request), request.Id, request.Cancellation) ?? throw NotFound();

    private string? Url(BodyFields fields)
    {
        if (fields.Text("url", OutboundUrl.MaxLength) is not { } text) return null;
        var (url, fault) = rules.Read(text);
        if (fault is not null) fields.Invalid("url", fault);
        return url?.AbsoluteUri;
    }

    private string[]? Events(BodyFields fields)
    {
        var events = fields.List("events", 32, 64, type => family.Events.Contains(type) ? (type, null)
            : (null, $"Must be one of {string.Join(", ", family.Events)}."));
        if (events is { Length: 0 }) fields.Invalid("events", "Must not be empty; leave it out for all events, or disable the webhook.");
        return events;
    }

    private static EndpointResult Result(Webhook webhook, bool withSecret) =>
        EndpointResult.Json(json => WebhookWriter.Write(json, webhook, withSecret));

    private static GatewayErrorException NotFound() => EndpointErrors.NotFound("webhook");
}
