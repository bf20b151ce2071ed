using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Adds what is reserved now to sums of usage, at the hour in which the calls were accepted: their usage will be there when they end. They
/// have no outcome yet, so a query for one outcome does not show what is reserved.
/// </summary>
internal static class ReservedUsage
{
    public static bool Fits(UsageQuery query) => query.Outcome is null;

    /// <summary>The rows with the amounts of their groups; a group that has only reservations becomes a row.</summary>
    public static IReadOnlyList<UsageRow> AddTo(IReadOnlyList<UsageRow> rows, UsageQuery query, IReadOnlyList<ReservedAmount> amounts)
    {
        var sums = new Dictionary<(DateTimeOffset From, string Group), UsageRow>();
        foreach (var row in rows) sums[KeyOf(row)] = row with { ReservedUsd = 0 };
        foreach (var amount in amounts)
        {
            if (amount.PicoUsd <= 0 || !Matches(query, amount)) continue;
            var empty = RowOf(query, amount);
            var known = sums.GetValueOrDefault(KeyOf(empty)) ?? empty;
            sums[KeyOf(empty)] = known with { ReservedUsd = (known.ReservedUsd ?? 0) + Money.FromPico(amount.PicoUsd) };
        }
        return [.. sums.OrderBy(sum => sum.Key.From).ThenBy(sum => sum.Key.Group, StringComparer.Ordinal).Select(sum => sum.Value)];
    }

    private static bool Matches(UsageQuery query, in ReservedAmount amount) =>
        amount.Hour >= query.From && amount.Hour < query.To
        && (query.OrganizationId is null || query.OrganizationId == amount.OrganizationId)
        && (query.ProjectId is null || query.ProjectId == amount.ProjectId)
        && (query.KeyId is null || query.KeyId == amount.KeyId)
        && (query.Model is null || query.Model == amount.Model);

    // As the reader makes the rows of usage.
    private static UsageRow RowOf(UsageQuery query, in ReservedAmount amount)
    {
        var (from, to) = (query.From, query.To);
        var names = new List<string?>();
        foreach (var group in query.Groups)
        {
            if (group.Member is not null)
            {
                names.Add(group.OfReserved!(amount));
                continue;
            }
            (from, to) = group.Within(group.Start!(amount.Hour), query);
        }
        return new UsageRow(from, to, names);
    }

    private static (DateTimeOffset From, string Group) KeyOf(UsageRow row) => (row.From, string.Join('\n', row.Group));
}
