namespace Fairlead.Webhooks;

/// <summary>When a delivery is attempted again: the schedule that Standard Webhooks recommends, ten attempts in about three days.</summary>
internal static class WebhookSchedule
{
    /// <summary>Longest pause that a receiver may ask for.</summary>
    public static readonly TimeSpan LongestRetryAfter = TimeSpan.FromHours(24);

    /// <summary>How long a strained receiver is left alone when it does not say.</summary>
    public static readonly TimeSpan StrainPause = TimeSpan.FromSeconds(30);

    /// <summary>
    /// A webhook none of whose deliveries succeeded for so long is disabled when one of them is given up. Ten attempts take at least 68.03 h, when
    /// chance makes each pause a tenth shorter.
    /// </summary>
    public static readonly TimeSpan LastingFailure = TimeSpan.FromHours(68);

    private static readonly TimeSpan[] Pauses =
    [
        TimeSpan.Zero, TimeSpan.FromSeconds(5), TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(30), TimeSpan.FromHours(2),
        TimeSpan.FromHours(5), TimeSpan.FromHours(10), TimeSpan.FromHours(14), TimeSpan.FromHours(20), TimeSpan.FromHours(24),
    ];

    public static int MostAttempts => Pauses.Length;

    /// <summary>Pause behind a failed attempt, or null when it was the last one.</summary>
    /// <param name="made">Attempts made, this one included.</param>
    /// <param name="result">What it brought.</param>
    /// <param name="chance">Gives a number from 0 to below 1.</param>
    public static TimeSpan? PauseAfter(int made, WebhookResult result, Func<double> chance)
    {
        if (result.IsGone || made >= MostAttempts) return null;
        // A tenth more or less, so that what failed together does not come back together.
        var pause = Pauses[made] * (0.9 + (0.2 * chance()));
        if (result.RetryAfter is not { } asked) return pause;
        // Never earlier than asked.
        var least = Bounded(asked) * (1 + (0.1 * chance()));
        return least > pause ? least : pause;
    }

    /// <summary>How long nothing at all is sent to the receiver, or null.</summary>
    public static TimeSpan? QuietAfter(WebhookResult result) => result.IsStrained ? Bounded(result.RetryAfter ?? StrainPause) : null;

    private static TimeSpan Bounded(TimeSpan asked) => asked > LongestRetryAfter ? LongestRetryAfter : asked < TimeSpan.Zero ? TimeSpan.Zero : asked;
}
