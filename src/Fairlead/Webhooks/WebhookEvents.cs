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

    /// <summary>Another webhook of the project was disabled because its receiver was gone or failed for too long.</summary>
    public const string Disabled = "webhook.disabled";

    /// <summary>Sent on request only, whatever the webhook wants.</summary>
    public const string Test = "webhook.test";

    public const string Every = "*";

    /// <summary>What a webhook may want.</summary>
    public static readonly IReadOnlyList<string> Known = [Every, Completed, Failed, Incomplete, Cancelled, BatchCompleted, BatchFailed, BatchExpired, BatchCancelled, Disabled];
}
