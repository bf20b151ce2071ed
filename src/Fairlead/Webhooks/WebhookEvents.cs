namespace Fairlead.Webhooks;

/// <summary>Types of events.</summary>
internal static class WebhookEvents
{
    public const string Completed = "generation.completed";
    public const string Failed = "generation.failed";
    public const string Incomplete = "generation.incomplete";
    public const string Cancelled = "generation.cancelled";

    public const string BatchCompleted = "batch.completed";
    public const string BatchFailed = "batch.failed";
    public const string BatchExpired = "batch.expired";
    public const string BatchCancelled = "batch.cancelled";

    /// <summary>What was used of a budget has crossed a threshold.</summary>
    public const string LimitWarning = "limit.warning";

    /// <summary>A key expires in seven days, or in one.</summary>
    public const string KeyExpiring = "key.expiring";

    /// <summary>Another webhook of the owner was disabled because its receiver no longer exists or failed for too long.</summary>
    public const string Disabled = "webhook.disabled";

    /// <summary>Sent only on request, whatever events the webhook selects.</summary>
    public const string Test = "webhook.test";

    public const string Every = "*";

    /// <summary>Events that a webhook of a project may select.</summary>
    public static readonly IReadOnlyList<string> Known = [Every, Completed, Failed, Incomplete, Cancelled, BatchCompleted, BatchFailed,
        BatchExpired, BatchCancelled, LimitWarning, KeyExpiring, Disabled];

    /// <summary>Events that a webhook of an organization may select.</summary>
    public static readonly IReadOnlyList<string> OfOrganizations = [Every, LimitWarning, KeyExpiring, Disabled];
}
