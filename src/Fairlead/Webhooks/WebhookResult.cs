namespace Fairlead.Webhooks;

/// <summary>The result of one attempt.</summary>
/// <param name="StatusCode">The receiver's status, or null.</param>
/// <param name="Error">Why there is no status: <c>timeout</c>, <c>dns</c>, <c>connection</c>, <c>tls</c>, <c>protocol</c>,
/// <c>address_not_allowed</c>, <c>url_not_allowed</c>.</param>
/// <param name="RetryAfter">How long the receiver asks not to be called.</param>
/// <param name="Duration">Until the status arrived, or it failed.</param>
internal sealed record WebhookResult(int? StatusCode, string? Error, TimeSpan? RetryAfter, TimeSpan Duration)
{
    public bool Succeeded => StatusCode is >= 200 and < 300;

    /// <summary>The receiver reports that it no longer exists (410).</summary>
    public bool IsGone => StatusCode == 410;

    /// <summary>The receiver, or a proxy before it, is overloaded.</summary>
    public bool IsStrained => StatusCode is 429 or 502 or 503 or 504;
}
