using Fairlead.Auditing.Records;
using Fairlead.Conversation;

namespace Fairlead.Auditing.Ledger;

/// <summary>Calls that are added to one row of the hourly sums. For one thread.</summary>
internal sealed class HourSums(HourKey key, string organizationId)
{
    private const long MillisecondsPerHour = 3_600_000;

    public HourKey Key => key;

    public string OrganizationId => organizationId;

    public long Requests { get; set; }

    public long InputTokens { get; private set; }

    public long CachedInputTokens { get; private set; }

    public long CacheWriteTokens { get; private set; }

    public long OutputTokens { get; private set; }

    public long ReasoningTokens { get; private set; }

    public long CostPicoUsd { get; private set; }

    private long TokensHere { get; set; }

    private long CostHere { get; set; }

    /// <summary>Start of the hour of a time; both are milliseconds since 1970.</summary>
    public static long HourOf(long at) => (Math.DivRem(at, MillisecondsPerHour, out var rest) - (rest < 0 ? 1 : 0)) * MillisecondsPerHour;

    public void Add(ShippedCall call, ShippedAttempt attempt)
    {
        InputTokens += attempt.InputTokens;
        CachedInputTokens += attempt.CachedInputTokens;
        CacheWriteTokens += attempt.CacheWriteTokens;
        OutputTokens += attempt.OutputTokens;
        ReasoningTokens += attempt.ReasoningTokens;
        CostPicoUsd = Money.Add(CostPicoUsd, attempt.CostPicoUsd);
        if (!call.EndedHere) return;
        TokensHere += attempt.InputTokens + attempt.OutputTokens;
        CostHere = Money.Add(CostHere, attempt.CostPicoUsd);
    }

    /// <summary>The part of calls that this process has ended.</summary>
    public static List<SettledUsage> UsageHere(IEnumerable<HourSums> hours) => UsageOf(hours, row => (row.TokensHere, row.CostHere));

    /// <summary>What all calls used.</summary>
    public static List<SettledUsage> UsageOf(IEnumerable<HourSums> hours) =>
        UsageOf(hours, row => (row.InputTokens + row.OutputTokens, row.CostPicoUsd));

    private static List<SettledUsage> UsageOf(IEnumerable<HourSums> hours, Func<HourSums, (long Tokens, long Cost)> amountsOf)
    {
        var usage = new Dictionary<SettledUsage, (long Tokens, long Cost)>();
        foreach (var row in hours)
        {
            var amounts = amountsOf(row);
            if (amounts is { Tokens: <= 0, Cost: <= 0 }) continue;
            // Rows differ in their outcome, which does not matter here.
            var owner = new SettledUsage(
                row.OrganizationId, row.Key.ProjectId, row.Key.KeyId, row.Key.Model, row.Key.Class, row.Key.Hour, 0, 0);
            var (tokens, cost) = usage.GetValueOrDefault(owner);
            usage[owner] = (tokens + amounts.Tokens, Money.Add(cost, amounts.Cost));
        }
        return [.. usage.Select(pair => pair.Key with { Tokens = pair.Value.Tokens, CostPicoUsd = pair.Value.Cost })];
    }
}

/// <summary>The primary key of the hourly sums; the hour is its start in milliseconds since 1970.</summary>
internal readonly record struct HourKey(string ProjectId, string KeyId, long Hour, string Model, string Outcome, string Class);
