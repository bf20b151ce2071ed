using Fairlead.Limits;

namespace Fairlead.Tests.Limits;

/// <summary>Limits at noon of 23 November 2026, the time of <see cref="Dialects.DialectCalls"/>.</summary>
internal static class LimitSamples
{
    public const long Dollar = 1_000_000_000_000;

    public static readonly DateTimeOffset Now = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);

    public static readonly LimitState Requests = Rate(LimitName.RequestsPerMinute, 60, 57, 2.5);

    public static readonly LimitState InputTokens = Rate(LimitName.InputTokensPerMinute, 40_000, 39_200, 1.2, LimitScope.Organization);

    public static readonly LimitState OutputTokens = Rate(LimitName.OutputTokensPerMinute, 8_000, 1_000, 52.5, LimitScope.Project);

    public static readonly LimitState Concurrent = new(LimitName.ConcurrentGenerations, LimitScope.Key, "key_1", null, null, 4, 0, 1, 3, null, null);

    public static readonly LimitState TokensPerDay =
        new(LimitName.TokensPerDay, LimitScope.Model, "org_1", "fast", null, 1_000_000, 400_000, 0, 600_000, null, new DateTimeOffset(2026, 11, 24, 0, 0, 0, TimeSpan.Zero));

    public static readonly LimitState UsdPerMonth =
        new(LimitName.UsdPerMonth, LimitScope.Organization, "org_1", null, "bulk", 100 * Dollar, 12 * Dollar, Dollar / 4, (87 * Dollar) + (Dollar * 3 / 4), null, new DateTimeOffset(2026, 12, 1, 0, 0, 0, TimeSpan.Zero));

    public static readonly LimitState InputTokensPerRequest = new(LimitName.InputTokensPerRequest, LimitScope.Key, "key_1", null, null, 4_000, 0, 0, 4_000, null, null);

    public static LimitState[] All => [Requests, InputTokens, OutputTokens, Concurrent, TokensPerDay, UsdPerMonth, InputTokensPerRequest];

    public static LimitState Rate(LimitName name, long limit, long remaining, double seconds, LimitScope scope = LimitScope.Key) =>
        new(name, scope, "id", null, null, limit, limit - remaining, 0, remaining, 60, Now.AddSeconds(seconds));
}

internal sealed class FixedLimits(params LimitState[] states) : ICallLimits
{
    public LimitState[] Read() => [.. states];
}
