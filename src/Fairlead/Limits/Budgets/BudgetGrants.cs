using System.Data.Common;
using System.Globalization;
using System.Text;
using Fairlead.Storage;

namespace Fairlead.Limits.Budgets;

/// <summary>
/// Grants slices of budgets in the database. All needs of a request are one transaction, which has the locks of all its budgets. Callers
/// take the turns of the budgets first (<see cref="BudgetTurns"/>). Thread-safe.
/// </summary>
internal sealed class BudgetGrants(IStorage storage, BudgetHolder holder, LeasedBudgets budgets, TimeProvider time)
{
    /// <summary>
    /// On several nodes, a grant is at most this part of what is left, unless the minimum is more. So slices shrink to single calls near
    /// the end, and no node has to ask another one for what it has just taken.
    /// </summary>
    private const int MaxPart = 4;

    /// <summary>
    /// In SQLite, where no other process wants the rest, a grant is at least this part of what is left, so that grants are rare. Not more:
    /// after a crash, all that was granted is held until the calls of the process are in the ledger.
    /// </summary>
    private const int MinPartOfOneProcess = 64;

    private long _number;

    /// <summary>Grants what is available, without waiting for others.</summary>
    /// <returns>One result for each need, in their order.</returns>
    public async Task<BudgetGrantResult[]> GrantAsync(IReadOnlyList<BudgetNeed> needs, CancellationToken cancellationToken)
    {
        var number = Interlocked.Increment(ref _number);
        var known = needs.Select(need => budgets.Enter(need.Key)).ToArray();
        try
        {
            var results = await StorageRetry.RunUntilKnownAsync(
                attempt => TryAsync(attempt, number, needs, known, cancellationToken), time);
            for (var i = 0; i < known.Length; i++)
            {
                if (results[i].Grant.Granted > 0) known[i].ConfirmedGrant = number;
                if (results[i].IsCommitted) known[i].IsUncertain = false;
            }
            return results;
        }
        catch (UnknownCommitException)
        {
            foreach (var budget in known) budget.IsUncertain = true;
            throw;
        }
    }

    private async Task<BudgetGrantResult[]> TryAsync(
        CommitAttempt attempt, long number, IReadOnlyList<BudgetNeed> needs, LeasedBudget[] known, CancellationToken cancellationToken)
    {
        var keys = needs.Select(need => need.Key).ToArray();
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await LockAsync(connection, keys, cancellationToken);
        var isUndone = await UndoAsync(connection, number, keys, known, cancellationToken);
        // Before the sums: what is written meanwhile counts twice until the next grant, and never not at all.
        var unpaid = known.Select(budget => budget.Unpaid).ToArray();
        // A statement of its own: its snapshot must be later than the locks.
        var sums = await BudgetSums.ReadAsync(storage, connection, holder, keys, cancellationToken);
        // An earlier attempt was committed.
        var isRepeat = attempt.IsRepeat && sums.Any(one => one.GrantNumber == number);
        var amounts = new long[keys.Length];
        for (var i = 0; i < amounts.Length; i++)
        {
            if (isRepeat) amounts[i] = sums[i].GrantNumber == number ? sums[i].LastGranted : 0;
            else amounts[i] = Size(needs[i], sums[i].Available(needs[i].Limit));
        }
        var writes = !isRepeat && amounts.Any(amount => amount > 0);
        if (writes) await WriteAsync(connection, number, keys, amounts, cancellationToken);
        if (writes || isUndone)
        {
            attempt.Sending();
            // A cancelled commit may have taken effect.
            await transaction.CommitAsync(CancellationToken.None);
        }
        return
        [
            .. sums.Select((one, i) => new BudgetGrantResult(
                new BudgetGrant(amounts[i], UsedElsewhere(one, unpaid[i]), one.Earlier + one.Others + one.Jobs), one.Earlier, one.Others,
                one.Available(needs[i].Limit), writes || isUndone || isRepeat)),
        ];
    }

    private long Size(in BudgetNeed need, Int128 available)
    {
        if (available <= 0 || available < need.Minimum) return 0;
        var part = Int128.Max(need.Minimum, available / MaxPart);
        var wanted = Int128.Max(need.Wanted, need.Minimum);
        if (storage.Provider == StorageProvider.Sqlite) wanted = Int128.Max(wanted, available / MinPartOfOneProcess);
        return (long)Int128.Min(Int128.Min(part, wanted), long.MaxValue);
    }

    private static long UsedElsewhere(in BudgetSums sums, long unpaid) =>
        (long)Int128.Clamp((Int128)sums.Settled - sums.OwnSettled + sums.WrittenOff + unpaid, 0, long.MaxValue);

    // In the order of the numbers that are locked, so that transactions wait for each other only in one direction.
    private async Task LockAsync(DbConnection connection, BudgetKey[] keys, CancellationToken cancellationToken)
    {
        if (storage.Provider == StorageProvider.Sqlite) return;
        var locks = keys.Select(key => LockOf(key.ToText())).Distinct().Order().ToArray();
        var sql = string.Join(", ", locks.Select((_, i) => string.Create(CultureInfo.InvariantCulture, $"pg_advisory_xact_lock(@lock{i})")));
        await connection.ExecuteAsync(
            "SELECT " + sql,
            [.. locks.Select((one, i) => (string.Create(CultureInfo.InvariantCulture, $"@lock{i}"), (SqlValue)(long?)one))],
            cancellationToken);
    }

    // FNV-1a: the same in every process. Two budgets with the same number only wait for each other.
    private static long LockOf(string budget)
    {
        var hash = 14695981039346656037ul;
        foreach (var letter in budget) hash = unchecked((hash ^ letter) * 1099511628211ul);
        return unchecked((long)hash);
    }

    // Takes back a grant whose outcome stayed unknown, and which therefore nobody uses.
    private async Task<bool> UndoAsync(
        DbConnection connection, long number, BudgetKey[] keys, LeasedBudget[] known, CancellationToken cancellationToken)
    {
        var isUndone = false;
        for (var i = 0; i < keys.Length; i++)
        {
            if (!known[i].IsUncertain) continue;
            isUndone = true;
            await connection.ExecuteAsync(
                """
                UPDATE budget_leases SET outstanding = CASE WHEN outstanding > granted THEN outstanding - granted ELSE 0 END,
                    grant_number = @confirmed, granted = 0
                WHERE budget = @budget AND node = @node AND process = @process AND grant_number NOT IN (@confirmed, @number)
                """,
                [
                    ("@budget", keys[i].ToText()), ("@node", holder.Node), ("@process", holder.Process),
                    ("@confirmed", known[i].ConfirmedGrant), ("@number", number),
                ],
                cancellationToken);
        }
        return isUndone;
    }

    private async Task WriteAsync(
        DbConnection connection, long number, BudgetKey[] keys, long[] amounts, CancellationToken cancellationToken)
    {
        var sql = new StringBuilder("""
            INSERT INTO budget_holders (node, process, replay_node, beat, written_off) VALUES (@node, @process, @node, 0, 0)
            ON CONFLICT (node, process) DO NOTHING
            """);
        List<(string Name, SqlValue Value)> values = [("@node", holder.Node), ("@process", holder.Process), ("@number", number)];
        // Rows in one order: the ledger changes them too.
        var granted = keys.Select((key, i) => (Text: key.ToText(), Key: key, Amount: amounts[i])).Where(one => one.Amount > 0)
            .OrderBy(one => one.Text, StringComparer.Ordinal);
        foreach (var (text, key, amount) in granted)
        {
            var i = values.Count;
            sql.Append(CultureInfo.InvariantCulture, $"""
                ;
                INSERT INTO budget_leases (budget, node, process, period_end, outstanding, settled, grant_number, granted, return_number)
                VALUES (@budget{i}, @node, @process, @end{i}, @amount{i}, 0, @number, @amount{i}, 0)
                ON CONFLICT (budget, node, process) DO UPDATE SET outstanding = budget_leases.outstanding + excluded.outstanding,
                    grant_number = excluded.grant_number, granted = excluded.granted
                """);
            var suffix = i.ToString(CultureInfo.InvariantCulture);
            values.AddRange([("@budget" + suffix, text), ("@end" + suffix, key.PeriodEnd), ("@amount" + suffix, amount)]);
        }
        await connection.ExecuteAsync(sql.ToString(), [.. values], cancellationToken);
    }
}

/// <summary>A grant, and why it is not larger.</summary>
/// <param name="Grant">The grant.</param>
/// <param name="Earlier">Held by earlier processes whose calls this node replays.</param>
/// <param name="Others">Held by other nodes.</param>
/// <param name="Available">What was left before the grant; may be negative.</param>
/// <param name="IsCommitted">Whether the transaction has written.</param>
internal readonly record struct BudgetGrantResult(BudgetGrant Grant, long Earlier, long Others, Int128 Available, bool IsCommitted);
