using System.Data.Common;
using Fairlead.Auditing.Ledger;
using Fairlead.Conversation;
using Fairlead.Limits.Budgets;
using Fairlead.Storage;
using Fairlead.Webhooks;

namespace Fairlead.Limits.Thresholds;

/// <summary>
/// Sends <c>limit.warning</c> when what was used of a budget crosses a threshold. In the ledger's transaction: 1. find the budgets that the
/// calls count against and whose warnings somebody receives; 2. add the usage to their totals, which locks them; 3. replace totals that
/// may lack usage by the sums of the ledger; 4. add the events of thresholds that were not reported yet, and note them.
/// So each threshold of a period is reported once by all nodes together, and an event is neither lost nor sent for usage that was rolled
/// back. For one thread at a time.
/// </summary>
internal sealed class BudgetThresholds(
    IStorage storage, BudgetHolder holder, WebhookSubscribers subscribers, DeclaredBudgets declared, IWebhookOutbox outbox,
    TimeProvider time) : ILedgerWatcher
{
    /// <summary>
    /// How long after its period a budget is still reported, for calls that end late. Older totals are deleted after twice that time, so
    /// that none is created again.
    /// </summary>
    internal static readonly TimeSpan AfterPeriod = TimeSpan.FromDays(1);

    /// <summary>Budgets in one statement.</summary>
    private const int MaxBudgets = 50;

    /// <summary>Totals that are known to be complete; more are forgotten and read again.</summary>
    private const int MaxComplete = 100_000;

    /// <summary>
    /// Usage that another node added before it learned of the limit or of the receiver is missing in a total until it is replaced.
    /// </summary>
    private static readonly TimeSpan CompleteFor = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan CleanInterval = TimeSpan.FromHours(1);

    private static readonly LimitScope[] ProjectScopes = [LimitScope.Project, LimitScope.Key];
    private static readonly LimitScope[] OrganizationScopes = [LimitScope.Organization, LimitScope.Model];
    private static readonly LimitScope[] AllScopes = [.. OrganizationScopes, .. ProjectScopes];

    // When the total of a budget was replaced. What a transaction replaced counts when it is committed.
    private readonly Dictionary<string, long> _complete = new(StringComparer.Ordinal);
    private readonly List<string> _replaced = [];
    private bool _hasEvents;
    private long _growth;
    private long? _cleanedAt;

    public async Task AddedAsync(
        DbConnection connection, DbTransaction transaction, IReadOnlyList<SettledUsage> usage, CancellationToken cancellationToken)
    {
        _replaced.Clear();
        _hasEvents = false;
        // 1.
        var receivers = await subscribers.ReadAsync(connection, cancellationToken);
        if (receivers.IsEmpty) return;
        if (receivers.Growth != _growth || _complete.Count > MaxComplete)
        {
            // The usage of an owner that had no receiver was not added.
            _complete.Clear();
            _growth = receivers.Growth;
        }
        var used = await FindAsync(connection, usage, receivers, cancellationToken);
        // In one order on all nodes.
        foreach (var chunk in used.OrderBy(one => one.Text, StringComparer.Ordinal).Chunk(MaxBudgets))
            await UpdateAsync(connection, transaction, chunk, cancellationToken);
        if (_replaced.Count > 0) await CleanAsync(connection, cancellationToken);
    }

    public void Committed()
    {
        var now = time.GetTimestamp();
        foreach (var budget in _replaced) _complete[budget] = now;
        _replaced.Clear();
        if (_hasEvents) outbox.Announce();
        _hasEvents = false;
    }

    private async Task<IReadOnlyCollection<UsedBudget>> FindAsync(
        DbConnection connection, IReadOnlyList<SettledUsage> usage, WebhookSubscriberSet receivers, CancellationToken cancellationToken)
    {
        var used = new Dictionary<BudgetKey, UsedBudget>();
        var found = new List<(BudgetKey Key, long Limit)>();
        var oldest = time.GetUtcNow() - AfterPeriod;
        foreach (var one in usage)
        {
            var ofProject = receivers.WantsOfProject(one.OrganizationId, one.ProjectId);
            if (!ofProject && !receivers.WantsOfOrganization(one.OrganizationId, one.ProjectId)) continue;
            found.Clear();
            await declared.FindAsync(connection, one, ofProject ? AllScopes : OrganizationScopes, found, cancellationToken);
            foreach (var (key, limit) in found)
            {
                var amount = key.Name.IsMoney() ? one.CostPicoUsd : one.Tokens;
                if (amount <= 0 || key.PeriodEnd < oldest) continue;
                if (!used.TryGetValue(key, out var budget)) used[key] = budget = new UsedBudget(key, key.ToText(), limit, one.ProjectId);
                budget.Amount = Money.Add(budget.Amount, amount);
            }
        }
        return used.Values;
    }

    private async Task UpdateAsync(
        DbConnection connection, DbTransaction transaction, UsedBudget[] used, CancellationToken cancellationToken)
    {
        // 2.
        var added = await BudgetTotals.AddAsync(
            connection, [.. used.Select(one => (one.Text, one.Key.PeriodEnd, one.Amount))], cancellationToken);
        var totals = added.ToDictionary(total => total.Budget, StringComparer.Ordinal);
        // 3. A statement of its own: its snapshot must be later than the locks.
        var unsure = used.Where(one => !IsComplete(one.Text) || totals[one.Text].Settled <= one.Amount).ToArray();
        if (unsure.Length > 0)
        {
            var sums = await BudgetSums.ReadAsync(
                storage, connection, holder, [.. unsure.Select(one => one.Key)], cancellationToken);
            for (var i = 0; i < unsure.Length; i++)
            {
                totals[unsure[i].Text] = totals[unsure[i].Text] with { Settled = sums[i].Settled };
                _replaced.Add(unsure[i].Text);
            }
        }
        // 4.
        foreach (var budget in used)
        {
            var total = totals[budget.Text];
            if (await WarnAsync(connection, transaction, budget, total, cancellationToken) is { } warned)
                total = total with { Warned = warned };
            if (!added.Contains(total)) await BudgetTotals.SetAsync(connection, total, cancellationToken);
        }
    }

    /// <summary>The highest threshold that was reported; null if there was none.</summary>
    private async Task<int?> WarnAsync(
        DbConnection connection, DbTransaction transaction, UsedBudget budget, BudgetTotal total, CancellationToken cancellationToken)
    {
        int? warned = null;
        var now = time.GetUtcNow();
        foreach (var threshold in LimitWarning.Reached(total.Settled, budget.Limit, total.Warned))
        {
            var warning = new LimitWarning(budget.Key, budget.Limit, total.Settled, threshold, budget.ProjectId);
            // Without a receiver it stays open: its last receiver has just been removed.
            if (await outbox.AddAsync(connection, transaction, warning.ToEvent(now), cancellationToken) == 0) return warned;
            _hasEvents = true;
            warned = threshold;
        }
        return warned;
    }

    private bool IsComplete(string budget) =>
        _complete.TryGetValue(budget, out var at) && time.GetElapsedTime(at) < CompleteFor;

    // Last, so that no row is locked out of order after it.
    private async Task CleanAsync(DbConnection connection, CancellationToken cancellationToken)
    {
        if (_cleanedAt is { } at && time.GetElapsedTime(at) < CleanInterval) return;
        await BudgetTotals.DeleteEndedAsync(connection, time.GetUtcNow() - (2 * AfterPeriod), cancellationToken);
        _cleanedAt = time.GetTimestamp();
    }

    /// <summary>A budget and what the calls of one transaction used of it.</summary>
    private sealed class UsedBudget(BudgetKey key, string text, long limit, string projectId)
    {
        public BudgetKey Key => key;

        public string Text => text;

        public long Limit => limit;

        public string ProjectId => projectId;

        /// <summary>Tokens or picodollars.</summary>
        public long Amount { get; set; }
    }
}
