using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Auditing.Ledger;

/// <summary>
/// Adds what is reserved now to sums of usage. A reservation has neither an outcome nor a time of its own, so only queries that reach the
/// present and name neither show it.
/// </summary>
internal static class ReservedUsage
{
    public static bool Fits(UsageQuery query, DateTimeOffset now) =>
        query.To >= now && query.Outcome is null && query.Groups.All(group => group.OfReserved is not null);

    /// <summary>The rows with the amounts of their groups; a group that has only reservations becomes a row.</summary>
    public static IReadOnlyList<UsageRow> AddTo(IReadOnlyList<UsageRow> rows, UsageQuery query, IReadOnlyList<ReservedAmount> amounts)
    {
        var sums = new Dictionary<string, UsageRow>(StringComparer.Ordinal);
        foreach (var row in rows) sums[KeyOf(row.Group)] = row with { ReservedUsd = 0 };
        foreach (var amount in amounts)
        {
            if (amount.PicoUsd <= 0 || !Matches(query, amount)) continue;
            string[] group = [.. query.Groups.Select(part => part.OfReserved!(amount))];
            var known = sums.GetValueOrDefault(KeyOf(group)) ?? new UsageRow(query.From, query.To, group);
            sums[KeyOf(group)] = known with { ReservedUsd = (known.ReservedUsd ?? 0) + Money.FromPico(amount.PicoUsd) };
        }
        return [.. sums.OrderBy(sum => sum.Key, StringComparer.Ordinal).Select(sum => sum.Value)];
    }

    private static bool Matches(UsageQuery query, in ReservedAmount amount) =>
        (query.OrganizationId is null || query.OrganizationId == amount.OrganizationId)
        && (query.ProjectId is null || query.ProjectId == amount.ProjectId)
        && (query.KeyId is null || query.KeyId == amount.KeyId)
        && (query.Model is null || query.Model == amount.Model);

    private static string KeyOf(IReadOnlyList<string> group) => string.Join('\n', group);
}
