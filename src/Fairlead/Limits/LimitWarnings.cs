using System.Globalization;
using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>Warns of limits that are almost used up.</summary>
internal static class LimitWarnings
{
    public static void Add(GatewayCall call, AppliedLimits limits)
    {
        foreach (var state in limits.Read())
        {
            if (state.Limit <= 0 || state.Used + (Int128)state.Reserved < (Int128)state.Limit - (state.Limit / 5)) continue;
            var percent = Math.Min(100, (int)((state.Used + (Int128)state.Reserved) * 100 / state.Limit));
            call.Warn("limit_near", string.Create(CultureInfo.InvariantCulture,
                $"{percent} % of the limit {LimitRefusal.NameOf(state)} are used or reserved."));
        }
    }
}
