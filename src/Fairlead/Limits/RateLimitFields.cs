using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace Fairlead.Limits;

/// <summary>
/// The header fields <c>RateLimit-Policy</c> and <c>RateLimit</c> (draft-ietf-httpapi-ratelimit-headers-11): lists of structured fields
/// (RFC 9651) with one item for each limit, the tightest first.
/// </summary>
/// <param name="Policy">Name, quota (<c>q</c>), window (<c>w</c>, seconds) and unit (<c>qu</c>) of each limit.</param>
/// <param name="RateLimit">Name, remaining amount (<c>r</c>) and seconds until it is full again (<c>t</c>) of each limit.</param>
internal readonly record struct RateLimitFields(string Policy, string RateLimit)
{
    /// <summary>More limits are not listed, so that the length of the fields is limited.</summary>
    public const int MaxItems = 8;

    // RFC 9651, 3.3.1.
    private const long MaxInteger = 999_999_999_999_999;

    private const long PicoPerMicrodollar = 1_000_000;

    private const int SecondsOfDay = 86_400;

    /// <summary>The fields; null if none of the limits belongs there. Changes the order of <paramref name="states"/>.</summary>
    /// <param name="states">The limits of the call. Those of a single request have no quota to show.</param>
    /// <param name="now">The present.</param>
    /// <param name="retryAfter">
    /// Seconds in the <c>Retry-After</c> of the same response, or null. It must not end before a <c>t</c>: that of the limit which refused
    /// the call is the same, and a longer one is left out.
    /// </param>
    /// <param name="refusing">Policy name of the limit that refused the call, or null. It is the first item.</param>
    public static RateLimitFields? Of(Span<LimitState> states, DateTimeOffset now, long? retryAfter = null, string? refusing = null)
    {
        states = states[..KeepQuotas(states)];
        if (states.IsEmpty) return null;
        SortByTightness(states);
        var isRefused = refusing is not null && MoveToFront(states, refusing);

        var policy = new DefaultInterpolatedStringHandler(0, 0, CultureInfo.InvariantCulture, stackalloc char[512]);
        var rate = new DefaultInterpolatedStringHandler(0, 0, CultureInfo.InvariantCulture, stackalloc char[512]);
        var count = Math.Min(MaxItems, states.Length);
        for (var i = 0; i < count; i++)
        {
            var state = states[i];
            AppendName(ref policy, state, isFirst: i == 0);
            policy.AppendLiteral(";q=");
            policy.AppendFormatted(AmountOf(state.Name, state.Limit));
            if (WindowOf(state, now) is > 0 and var window)
            {
                policy.AppendLiteral(";w=");
                policy.AppendFormatted(window);
            }
            if (UnitOf(state.Name) is { } unit)
            {
                policy.AppendLiteral(";qu=\"");
                policy.AppendLiteral(unit);
                policy.AppendLiteral("\"");
            }
            AppendPartition(ref policy, state);

            AppendName(ref rate, state, isFirst: i == 0);
            rate.AppendLiteral(";r=");
            rate.AppendFormatted(AmountOf(state.Name, state.Remaining));
            if (SecondsOf(state, now, retryAfter, isRefused && i == 0) is { } seconds)
            {
                rate.AppendLiteral(";t=");
                rate.AppendFormatted(seconds);
            }
            AppendPartition(ref rate, state);
        }
        return new RateLimitFields(policy.ToStringAndClear(), rate.ToStringAndClear());
    }

    private static int KeepQuotas(Span<LimitState> states)
    {
        var kept = 0;
        foreach (var state in states)
        {
            if (state.Name < LimitName.InputTokensPerRequest) states[kept++] = state;
        }
        return kept;
    }

    // Stable, so that equal limits keep their order from response to response. There are few.
    private static void SortByTightness(Span<LimitState> states)
    {
        for (var i = 1; i < states.Length; i++)
        {
            var moved = states[i];
            var at = i;
            for (; at > 0 && ShareOf(states[at - 1]) > ShareOf(moved); at--) states[at] = states[at - 1];
            states[at] = moved;
        }
    }

    private static bool MoveToFront(Span<LimitState> states, string name)
    {
        for (var i = 0; i < states.Length; i++)
        {
            if (LimitPolicyName.Of(states[i]) != name) continue;
            var found = states[i];
            states[..i].CopyTo(states[1..]);
            states[0] = found;
            return true;
        }
        return false;
    }

    private static double ShareOf(in LimitState state) => state.Limit > 0 ? (double)state.Remaining / state.Limit : 0;

    private static long? SecondsOf(in LimitState state, DateTimeOffset now, long? retryAfter, bool isRefusing)
    {
        if (isRefusing && retryAfter is not null) return retryAfter;
        if (state.ResetsAt is null) return null;
        var seconds = LimitTimes.SecondsUntil(state.ResetsAt, now);
        return seconds > retryAfter ? null : seconds;
    }

    // Rounded down: nothing is promised that is not there.
    private static long AmountOf(LimitName name, long amount) =>
        Math.Clamp(name.IsMoney() ? amount / PicoPerMicrodollar : amount, 0, MaxInteger);

    private static long? WindowOf(in LimitState state, DateTimeOffset now)
    {
        if (!state.Name.IsBudget()) return state.WindowSeconds;
        if (!state.Name.IsMonthly()) return SecondsOfDay;
        // A budget of a month is full again at the start of the next one.
        var start = (state.ResetsAt ?? now).UtcDateTime.AddTicks(-1);
        return (long)DateTime.DaysInMonth(start.Year, start.Month) * SecondsOfDay;
    }

    // `tokens` is not registered, so the units of our own have a prefix. The default is `requests`.
    private static string? UnitOf(LimitName name) => name switch
    {
        LimitName.RequestsPerMinute => null,
        LimitName.ConcurrentGenerations => "concurrent-requests",
        LimitName.UsdPerDay or LimitName.UsdPerMonth => "fairlead-microdollars",
        _ => "fairlead-tokens",
    };

    private static void AppendName(ref DefaultInterpolatedStringHandler text, in LimitState state, bool isFirst)
    {
        text.AppendLiteral(isFirst ? "\"" : ", \"");
        text.AppendLiteral(LimitPolicyName.Of(state));
        text.AppendLiteral("\"");
    }

    // Each model has limits of its own under the same names.
    private static void AppendPartition(ref DefaultInterpolatedStringHandler text, in LimitState state)
    {
        if (state.Model is not { } model) return;
        text.AppendLiteral(";pk=:");
        text.AppendLiteral(Convert.ToBase64String(Encoding.UTF8.GetBytes(model)));
        text.AppendLiteral(":");
    }
}
