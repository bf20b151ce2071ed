using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Security;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Webhooks;

/// <summary><c>/v2/webhooks</c>: the webhooks of the caller's project. Those of other projects are not found.</summary>
internal sealed class WebhookEndpoints(WebhookStore store, WebhookOutbox outbox, WebhookRules rules, TimeProvider time,
    ILogger<WebhookEndpoints> logger)
{
    public const string Prefix = "whk_";

    private const int MaxDescription = 256;
    private const int DefaultOverlapSeconds = 24 * 60 * 60;
    private const int MaxOverlapSeconds = 30 * 24 * 60 * 60;

    private static readonly string[] FieldsOfNew = ["url", "events", "description", "signature"];
    private static readonly string[] FieldsOfChange = ["url", "events", "description", "status"];
    private static readonly string[] FieldsOfRotation = ["overlap_seconds"];

    private static readonly Dictionary<string, string> RefusedOfChange =
        new() { ["signature"] = "A webhook keeps its kind of signature; create another one." };

    public async Task ListAsync(AdminRequest request)
    {
        var page = AdminPage.Read(request, Prefix);
        var rows = await store.ListAsync(request.Caller.ProjectId, page.After, page.Limit + 1, request.Cancellation);
        await AdminAnswer.WriteListAsync(request, page, rows, row => row.Id, (json, row) =>
            WebhookWriter.Write(json, row, withSecret: false));
    }

    public async Task GetAsync(AdminRequest request) => await AnswerAsync(request, await FindAsync(request), withSecret: false);

    /// <summary>The webhook that signs deliveries to the addresses of single requests: those receivers need its public key.</summary>
    public async Task OfRequestsAsync(AdminRequest request) =>
        await AnswerAsync(request, await store.OfRequestsAsync(request.Caller.ProjectId, request.Cancellation), withSecret: false);

    public async Task CreateAsync(AdminRequest request)
    {
        using var body = await AdminBody.ReadAsync(request);
        var fields = new BodyFields(body.RootElement, FieldsOfNew);
        if (!fields.HasValue("url")) fields.Missing("url");
        var url = Url(fields);
        var events = Events(fields);
        var description = fields.Text("description", MaxDescription);
        var signature = Word(fields, "signature", "v1", "v1a");
        fields.ThrowIfFaulty();

        var now = time.GetUtcNow();
        var webhook = new Webhook
        {
            Id = Ids.New(Prefix, time), ProjectId = request.Caller.ProjectId, Url = url, Description = description, Events = events
                ?? [WebhookEvents.Every],
            Key = WebhookKey.New(signature == "v1a" ? WebhookSignature.Ed25519 : WebhookSignature.Hmac), CreatedAt = now, UpdatedAt = now,
        };
        if (!await store.AddAsync(webhook, request.Cancellation))
        {
            throw AdminAnswer.Conflict($"The project has {WebhookStore.MostOfAProject} webhooks, which is the maximum.",
                "Delete one that is no longer needed; GET /v2/webhooks lists them.");
        }

        WebhooksLog.Changed(logger, "Created webhook", webhook.Id, request.Caller.KeyId);
        request.Context.Response.Headers.Location = PublicAddress.Of(request.Context).Reference("/v2/webhooks/" + webhook.Id);
        await AnswerAsync(request, webhook, withSecret: true, StatusCodes.Status201Created);
    }

    public async Task ChangeAsync(AdminRequest request)
    {
        using var body = await AdminBody.ReadAsync(request);
        var fields = new BodyFields(body.RootElement, FieldsOfChange, RefusedOfChange);
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
        var status = Word(fields, "status", "enabled", "disabled");
        if (fields.Has("status") && !fields.HasValue("status")) fields.Invalid("status", "Must not be null.");
        fields.ThrowIfFaulty();

        var changed = await store.ChangeAsync(request.Caller.ProjectId, request.Id, webhook => Changed(webhook), request.Cancellation)
            ?? throw NotFound();
        WebhooksLog.Changed(logger, "Changed webhook", changed.Id, request.Caller.KeyId);
        // Deliveries that waited for it may be sent now.
        if (changed.Enabled) outbox.Announce();
        await AnswerAsync(request, changed, withSecret: false);

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

    public async Task DeleteAsync(AdminRequest request)
    {
        if (!await store.DeleteAsync(request.Caller.ProjectId, request.Id, request.Cancellation)) throw NotFound();
        WebhooksLog.Changed(logger, "Deleted webhook", request.Id, request.Caller.KeyId);
        AdminAnswer.NoContent(request);
    }

    /// <summary>A new key. The old one also signs for a while, so that receivers can change without a gap.</summary>
    public async Task RotateAsync(AdminRequest request)
    {
        using var body = await AdminBody.ReadOptionalAsync(request);
        var fields = new BodyFields(body.RootElement, FieldsOfRotation);
        var overlap = TimeSpan.FromSeconds(fields.Integer("overlap_seconds", 0, MaxOverlapSeconds) ?? DefaultOverlapSeconds);
        fields.ThrowIfFaulty();

        var now = time.GetUtcNow();
        var changed = await store.ChangeAsync(request.Caller.ProjectId, request.Id, webhook => webhook with
        {
            Key = WebhookKey.New(webhook.Key.Kind),
            PreviousKey = overlap > TimeSpan.Zero ? webhook.Key : null,
            PreviousUntil = overlap > TimeSpan.Zero ? DateTimeOffset.FromUnixTimeMilliseconds((now + overlap).ToUnixTimeMilliseconds())
                : null,
        }, request.Cancellation) ?? throw NotFound();
        WebhooksLog.Changed(logger, "Rotated webhook", changed.Id, request.Caller.KeyId);
        await AnswerAsync(request, changed, withSecret: true);
    }

    /// <summary>Sends a test event, to check that it arrives.</summary>
    public async Task TestAsync(AdminRequest request)
    {
        using var body = await AdminBody.ReadOptionalAsync(request);
        new BodyFields(body.RootElement, []).ThrowIfFaulty();
        var webhook = await FindAsync(request);
        if (webhook.Url is null)
        {
            throw AdminAnswer.Conflict("This webhook has no address to which a test could be sent.",
                "Name an address in a request, or test a webhook that has one.");
        }

        if (!webhook.Enabled)
            throw AdminAnswer.Conflict("The webhook is disabled.", "Enable it first: PATCH it with {\"status\":\"enabled\"}.");

        var data = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(data))
        {
            json.WriteStartObject();
            json.WriteString("id", webhook.Id);
            json.WriteString("object", "webhook");
            json.WriteEndObject();
        }
        var delivery = await outbox.AddAsync(webhook,
            new WebhookEvent(webhook.ProjectId, WebhookEvents.Test, time.GetUtcNow(), data.WrittenSpan.ToArray()), request.Cancellation);
        request.Context.Response.Headers.Location = PublicAddress.Of(request.Context).Reference("/v2/webhooks/deliveries/" + delivery.Id);
        await AdminAnswer.WriteAsync(request, StatusCodes.Status202Accepted, json => WebhookWriter.Write(json, delivery, []));
    }

    private async Task<Webhook> FindAsync(AdminRequest request) =>
        await store.FindAsync(request.Caller.ProjectId, request.Id, request.Cancellation) ?? throw NotFound();

    private string? Url(BodyFields fields)
    {
        if (fields.Text("url", OutboundUrl.MaxLength) is not { } text) return null;
        var (url, fault) = rules.Read(text);
        if (fault is not null) fields.Invalid("url", fault);
        return url?.AbsoluteUri;
    }

    private static string[]? Events(BodyFields fields)
    {
        var events = fields.List("events", 32, 64, type => WebhookEvents.Known.Contains(type) ? (type, null)
            : (null, $"Must be one of {string.Join(", ", WebhookEvents.Known)}."));
        if (events is { Length: 0 }) fields.Invalid("events", "Must not be empty; leave it out for all events, or disable the webhook.");
        return events;
    }

    private static string? Word(BodyFields fields, string name, params string[] words)
    {
        if (fields.Text(name, 64) is not { } text) return null;
        if (words.Contains(text)) return text;
        fields.Invalid(name, $"Must be one of {string.Join(", ", words)}.");
        return null;
    }

    private static Task AnswerAsync(AdminRequest request, Webhook webhook, bool withSecret, int status = StatusCodes.Status200OK) =>
        AdminAnswer.WriteAsync(request, status, json => WebhookWriter.Write(json, webhook, withSecret));

    private static GatewayErrorException NotFound() => AdminAnswer.NotFound("webhook");
}
