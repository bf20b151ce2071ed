namespace Fairlead.Webhooks;

/// <summary>One event for one receiver. Immutable.</summary>
internal sealed record WebhookDelivery
{
    public required string Id { get; init; }

    public required string WebhookId { get; init; }

    /// <summary>The address of a single request; null to use the webhook's own at the time of the attempt.</summary>
    public string? Url { get; init; }

    /// <summary>The <c>webhook-id</c>, the same in every attempt and at every receiver.</summary>
    public required string EventId { get; init; }

    public required string Type { get; init; }

    public byte[] Payload { get; init; } = [];

    public WebhookDeliveryStatus Status { get; init; }

    /// <summary>Number of attempts, including those before a redelivery.</summary>
    public int Attempts { get; init; }

    /// <summary>Attempts in this round of the schedule.</summary>
    public int Step { get; init; }

    public DateTimeOffset NextAt { get; init; }

    public int? LastStatusCode { get; init; }

    public string? LastError { get; init; }

    public DateTimeOffset CreatedAt { get; init; }

    public DateTimeOffset? EndedAt { get; init; }
}

internal enum WebhookDeliveryStatus
{
    /// <summary>To be attempted, or attempted again.</summary>
    Pending,

    /// <summary>The receiver responded with 2xx.</summary>
    Delivered,

    /// <summary>Given up; only a requested redelivery sends it again.</summary>
    Dead,
}

internal static class WebhookDeliveryStatusNames
{
    public static readonly IReadOnlyList<string> All = ["pending", "delivered", "dead"];

    public static string ToWire(this WebhookDeliveryStatus status) => All[(int)status];

    public static WebhookDeliveryStatus Parse(string name)
    {
        for (var i = 0; i < All.Count; i++)
        {
            if (All[i] == name) return (WebhookDeliveryStatus)i;
        }
        throw new FormatException($"'{name}' is not a state of a delivery.");
    }
}

/// <summary>One attempt in the history.</summary>
/// <param name="Number">From 1.</param>
/// <param name="At">When it started.</param>
/// <param name="Duration">Until the status arrived, or it failed.</param>
/// <param name="StatusCode">The receiver's status, or null.</param>
/// <param name="Error">Why there is no response, as a code, or null.</param>
internal sealed record WebhookAttempt(int Number, DateTimeOffset At, TimeSpan Duration, int? StatusCode, string? Error);
