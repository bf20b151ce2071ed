namespace Fairlead.Limits;

/// <summary>The budgets that a call takes from, and how much.</summary>
/// <param name="Budgets">The budgets.</param>
/// <param name="AcceptedAt">Decides the periods.</param>
/// <param name="Full">What it wants.</param>
/// <param name="Least">What it can live with: a call without a maximum output can be capped.</param>
internal readonly record struct SliceNeeds(BudgetAccount[] Budgets, DateTimeOffset AcceptedAt, LimitAmounts Full, LimitAmounts Least);

/// <summary>What an attempt to get more of a budget did.</summary>
internal enum SliceRequest
{
    /// <summary>Nothing: the database said a moment ago that it does not have even the least amount.</summary>
    None,

    /// <summary>Another call has asked for its own budgets meanwhile.</summary>
    Waited,

    /// <summary>The database was asked.</summary>
    Asked,
}

/// <summary>
/// Requests of one organization for slices of its budgets, one at a time: calls that need more meanwhile wait for it and then try again.
/// Thread-safe with the lock of the organization.
/// </summary>
internal sealed class BudgetRequests
{
    /// <summary>
    /// After the database had no more, it is not asked for as much again for this long. Below the two seconds within which a raised limit
    /// or a returned slice must be seen.
    /// </summary>
    public static readonly TimeSpan Quiet = TimeSpan.FromSeconds(1);

    private TaskCompletionSource? _running;

    public ValueTask<SliceRequest> AcquireAsync(Lock gate, LimitClock clock, in SliceNeeds needs, IBudgetLeases leases,
        CancellationToken cancellationToken)
    {
        var now = clock.Time.GetTimestamp();
        TaskCompletionSource mine;
        List<Ask> asks;
        lock (gate)
        {
            if (!TryFindLacks(needs, now, out asks)) return new(SliceRequest.None);
            if (_running is { } running)
            {
                foreach (var ask in asks) ask.Period.Waiting = Conversation.Money.Add(ask.Period.Waiting, ask.Lack);
                return new(WaitAsync(running.Task, cancellationToken));
            }
            mine = _running = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            for (var i = 0; i < asks.Count; i++) asks[i] = asks[i] with { Need = NeedOf(asks[i], clock, now) };
        }
        return new(RunAsync(gate, clock, asks, mine, leases));
    }

    private static async Task<SliceRequest> WaitAsync(Task running, CancellationToken cancellationToken)
    {
        await running.WaitAsync(cancellationToken);
        return SliceRequest.Waited;
    }

    /// <summary>
    /// The budgets that lack something. False if nothing can be done about it: one that is exhausted lacks even the least amount, or there
    /// is none to ask for.
    /// </summary>
    private static bool TryFindLacks(in SliceNeeds needs, long now, out List<Ask> asks)
    {
        asks = [];
        foreach (var budget in needs.Budgets)
        {
            var full = needs.Full.Of(budget.Name);
            if (full == 0) continue;
            var period = budget.At(needs.AcceptedAt);
            var free = budget.FreeOf(period);
            var lack = full - free;
            if (lack <= 0) continue;
            var least = needs.Least.Of(budget.Name) - free;
            if (period.IsExhausted(lack, now))
            {
                if (least > 0 && period.IsExhausted(least, now)) return false;
                // The least amount is there or may be.
                if (least <= 0) continue;
            }
            asks.Add(new Ask(budget, period, lack, Math.Max(1, least), default));
        }
        return asks.Count > 0;
    }

    private static BudgetNeed NeedOf(Ask ask, LimitClock clock, long now)
    {
        var wanted = ask.Period.Forecast(ask.Lack, clock, now);
        ask.Period.Waiting = 0;
        return new BudgetNeed(ask.Budget.KeyOf(ask.Period), ask.Budget.Limit, ask.Minimum, wanted);
    }

    // Without the token of the call: others wait for it too.
    private async Task<SliceRequest> RunAsync(Lock gate, LimitClock clock, List<Ask> asks, TaskCompletionSource mine, IBudgetLeases leases)
    {
        try
        {
            var grants = await leases.AcquireAsync([.. asks.Select(ask => ask.Need)], CancellationToken.None);
            var now = clock.Time.GetTimestamp();
            var until = now + (long)(Quiet.TotalSeconds * clock.PerSecond);
            lock (gate)
            {
                for (var i = 0; i < asks.Count; i++)
                {
                    var ask = asks[i];
                    ask.Period.Add(grants[i], now);
                    // Not even the minimum was there. If the limit has changed meanwhile, it is asked for again.
                    if (grants[i].Granted < ask.Minimum && ask.Budget.Limit == ask.Need.Limit)
                        ask.Period.MarkExhausted(ask.Minimum, now, until);
                }
                _running = null;
            }
            mine.SetResult();
            return SliceRequest.Asked;
        }
        catch (Exception exception)
        {
            lock (gate) _running = null;
            mine.SetException(exception);
            // Nobody may be waiting.
            _ = mine.Task.Exception;
            throw;
        }
    }

    private sealed record Ask(BudgetAccount Budget, BudgetPeriod Period, long Lack, long Minimum, BudgetNeed Need);
}
