namespace Fairlead.Webhooks;

/// <summary>A receiver of the events of a project or of an organization. Immutable.</summary>
internal sealed record Webhook
{
    public required string Id { get; init; }

    /// <summary>The id of the project or of the organization that it belongs to.</summary>
    public required string OwnerId { get; init; }

    /// <summary>Null for the webhook that signs deliveries to the addresses of single requests.</summary>
    public string? Url { get; init; }

    public string? Description { get; init; }

    /// <summary>Types of events to send; <c>*</c> for all.</summary>
    public required IReadOnlyList<string> Events { get; init; }

    public required WebhookKey Key { get; init; }

    /// <summary>The key before the last rotation; also signs until <see cref="PreviousUntil"/>.</summary>
    public WebhookKey? PreviousKey { get; init; }

    public DateTimeOffset? PreviousUntil { get; init; }

    public bool Enabled { get; init; } = true;

    /// <summary>Why it is disabled: <c>request</c>, <c>gone</c> (it returned 410) or <c>failing</c>.</summary>
    public string? DisabledReason { get; init; }

    /// <summary>Since when no delivery succeeded; null when the last one did.</summary>
    public DateTimeOffset? FailingSince { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required DateTimeOffset UpdatedAt { get; init; }

    /// <summary>The current keys, the newest first.</summary>
    public IEnumerable<WebhookKey> KeysAt(DateTimeOffset now) => PreviousKey is { } previous && PreviousUntil > now ? [Key, previous]
        : [Key];

    public bool Wants(string type) => Events.Contains("*") || Events.Contains(type);
}
