namespace Fairlead.Webhooks;

/// <summary>When a delivery is attempted again: the schedule that Standard Webhooks recommends, ten attempts in about three days.</summary>
internal static class WebhookSchedule
{
    /// <summary>Longest pause that a receiver may ask for.</summary>
    public static readonly TimeSpan LongestRetryAfter = TimeSpan.FromHours(24);

    /// <summary>How long an overloaded receiver is not called if it does not say.</summary>
    public static readonly TimeSpan StrainPause = TimeSpan.FromSeconds(30);

    /// <summary>
    /// A webhook without a successful delivery for so long is disabled when a delivery is given up. Ten attempts take at least 68.03 h, if
    /// jitter makes each pause a tenth shorter.
    /// </summary>
    public static readonly TimeSpan LastingFailure = TimeSpan.FromHours(68);

    private static readonly TimeSpan[] Pauses =
    [
        TimeSpan.Zero, TimeSpan.FromSeconds(5), TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(30), TimeSpan.FromHours(2),
        TimeSpan.FromHours(5), TimeSpan.FromHours(10), TimeSpan.FromHours(14), TimeSpan.FromHours(20), TimeSpan.FromHours(24),
    ];

    public static int MaxAttempts => Pauses.Length;

    /// <summary>Pause after a failed attempt, or null when it was the last one.</summary>
    /// <param name="made">Number of attempts, including this one.</param>
    /// <param name="result">Its result.</param>
    /// <param name="chance">Returns a number from 0 to below 1.</param>
    public static TimeSpan? PauseAfter(int made, WebhookResult result, Func<double> chance)
    {
        if (result.IsGone || made >= MaxAttempts) return null;
        // A tenth more or less, so that deliveries that failed together are not retried together.
        var pause = Pauses[made] * (0.9 + (0.2 * chance()));
        if (result.RetryAfter is not { } asked) return pause;
        // Never earlier than the receiver asked.
        var least = Bounded(asked) * (1 + (0.1 * chance()));
        return least > pause ? least : pause;
    }

    /// <summary>How long nothing at all is sent to the receiver, or null.</summary>
    public static TimeSpan? QuietAfter(WebhookResult result) => result.IsStrained ? Bounded(result.RetryAfter ?? StrainPause) : null;

    private static TimeSpan Bounded(TimeSpan asked) => asked > LongestRetryAfter ? LongestRetryAfter : asked < TimeSpan.Zero
        ? TimeSpan.Zero : asked;
}
