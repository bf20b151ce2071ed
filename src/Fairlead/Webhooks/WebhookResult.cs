namespace Fairlead.Webhooks;

/// <summary>What one attempt brought.</summary>
/// <param name="StatusCode">The receiver's answer, or null.</param>
/// <param name="Error">Why there is none: <c>timeout</c>, <c>dns</c>, <c>connection</c>, <c>tls</c>, <c>protocol</c>, <c>address_not_allowed</c>, <c>url_not_allowed</c>.</param>
/// <param name="RetryAfter">How long the receiver wants to be left alone.</param>
/// <param name="Duration">Until the status was there, or it failed.</param>
internal sealed record WebhookResult(int? StatusCode, string? Error, TimeSpan? RetryAfter, TimeSpan Duration)
{
    public bool Succeeded => StatusCode is >= 200 and < 300;

    /// <summary>The receiver says that there will never be anyone.</summary>
    public bool IsGone => StatusCode == 410;

    /// <summary>The receiver, or what stands before it, has too much to do.</summary>
    public bool IsStrained => StatusCode is 429 or 502 or 503 or 504;
}
