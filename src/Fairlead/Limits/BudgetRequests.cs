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

    /// <summary>Another call has asked for all that it lacks meanwhile.</summary>
    Waited,

    /// <summary>The database was asked.</summary>
    Asked,
}

/// <summary>
/// Requests for slices of the budgets of one organization. Of one budget there is one at a time: calls that need more of it meanwhile wait
/// for it and then try again. Requests for different budgets do not wait for each other. A request continues when the call that started it
/// is cancelled, because others wait for it too. Thread-safe with the lock of the organization.
/// </summary>
internal static class BudgetRequests
{
    /// <summary>
    /// After the database had no more, it is not asked for as much again for this long. Below the two seconds within which a raised limit
    /// or a returned slice must be seen.
    /// </summary>
    public static readonly TimeSpan Quiet = TimeSpan.FromSeconds(1);

    /// <summary>Asks for what is lacking, or waits for a request that does.</summary>
    /// <exception cref="OperationCanceledException">The token of this call fired; the request itself continues.</exception>
    public static ValueTask<SliceRequest> AcquireAsync(Lock gate, LimitClock clock, in SliceNeeds needs, IBudgetLeases leases,
        CancellationToken cancellationToken)
    {
        var now = clock.Time.GetTimestamp();
        TaskCompletionSource mine;
        List<Ask> asks;
        lock (gate)
        {
            if (!TryFindLacks(needs, now, out asks)) return new(SliceRequest.None);
            var running = asks.FindAll(ask => ask.Period.Request is not null);
            if (running.Count == asks.Count)
            {
                foreach (var ask in running) ask.Period.Waiting = Conversation.Money.Add(ask.Period.Waiting, ask.Lack);
                return new(WaitAsync(running.ConvertAll(ask => ask.Period.Request!), cancellationToken));
            }
            asks.RemoveAll(ask => ask.Period.Request is not null);
            mine = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            for (var i = 0; i < asks.Count; i++)
            {
                asks[i].Period.Request = mine.Task;
                asks[i] = asks[i] with { Need = NeedOf(asks[i], clock, now), Unpaid = asks[i].Period.Unpaid };
            }
        }
        _ = RunAsync(gate, clock, asks, mine, leases);
        return new(AskAsync(mine.Task, cancellationToken));
    }

    private static async Task<SliceRequest> WaitAsync(List<Task> running, CancellationToken cancellationToken)
    {
        await (await Task.WhenAny(running).WaitAsync(cancellationToken));
        return SliceRequest.Waited;
    }

    private static async Task<SliceRequest> AskAsync(Task mine, CancellationToken cancellationToken)
    {
        await mine.WaitAsync(cancellationToken);
        return SliceRequest.Asked;
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
            asks.Add(new Ask(budget, period, lack, Math.Max(1, least), default, 0));
        }
        return asks.Count > 0;
    }

    private static BudgetNeed NeedOf(Ask ask, LimitClock clock, long now)
    {
        var wanted = ask.Period.Forecast(ask.Lack, clock, now);
        ask.Period.Waiting = 0;
        return new BudgetNeed(ask.Budget.KeyOf(ask.Period), ask.Budget.Limit, ask.Minimum, wanted);
    }

    // Never throws. Without the token of a call: others wait for it too.
    private static async Task RunAsync(Lock gate, LimitClock clock, List<Ask> asks, TaskCompletionSource mine, IBudgetLeases leases)
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
                    ask.Period.Add(grants[i], ask.Unpaid, now);
                    // Not even the minimum was there. If the limit has changed meanwhile, it is asked for again.
                    if (grants[i].Granted < ask.Minimum && ask.Budget.Limit == ask.Need.Limit)
                        ask.Period.MarkExhausted(ask.Minimum, now, until);
                    ask.Period.Request = null;
                }
            }
            mine.SetResult();
        }
        catch (Exception exception)
        {
            lock (gate)
            {
                foreach (var ask in asks) ask.Period.Request = null;
            }
            mine.SetException(exception);
            // Nobody may be waiting.
            _ = mine.Task.Exception;
        }
    }

    private sealed record Ask(BudgetAccount Budget, BudgetPeriod Period, long Lack, long Minimum, BudgetNeed Need, long Unpaid);
}
