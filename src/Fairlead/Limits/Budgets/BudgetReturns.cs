using System.Globalization;
using System.Text;
using Fairlead.Storage;

namespace Fairlead.Limits.Budgets;

/// <summary>
/// Parts of slices that go back to their budgets. They wait here until the database has them; a batch is repeated with the same number
/// until its outcome is known, so that nothing is returned twice. Thread-safe.
/// </summary>
internal sealed class BudgetReturns(IStorage storage, BudgetHolder holder) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _turn = new(1, 1);
    private Dictionary<BudgetKey, long> _waiting = [];
    private (long Number, Dictionary<BudgetKey, long> Amounts)? _sending;
    private long _number;
    private TaskCompletionSource _added = NewSource();

    public void Dispose() => _turn.Dispose();

    /// <summary>Completes when something waits that was added since the last <see cref="FlushAsync"/> started.</summary>
    public Task Added
    {
        get
        {
            lock (_gate) return _added.Task;
        }
    }

    public void Add(BudgetKey key, long amount)
    {
        if (amount <= 0) return;
        lock (_gate)
        {
            _waiting[key] = _waiting.GetValueOrDefault(key) + amount;
            _added.TrySetResult();
        }
    }

    /// <summary>Writes all that waits. If it throws, the next call continues.</summary>
    /// <returns>Whether there was something.</returns>
    /// <exception cref="System.Data.Common.DbException">The database is unavailable.</exception>
    public async Task<bool> FlushAsync(CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            var worked = false;
            while (Next() is { } batch)
            {
                await StorageRetry.RunAsync(() => WriteAsync(batch.Number, batch.Amounts, cancellationToken));
                _sending = null;
                worked = true;
            }
            return worked;
        }
        finally
        {
            _turn.Release();
        }
    }

    private (long Number, Dictionary<BudgetKey, long> Amounts)? Next()
    {
        if (_sending is not null) return _sending;
        lock (_gate)
        {
            if (_added.Task.IsCompleted) _added = NewSource();
            if (_waiting.Count == 0) return null;
            _sending = (++_number, _waiting);
            _waiting = [];
            return _sending;
        }
    }

    private async Task WriteAsync(long number, Dictionary<BudgetKey, long> amounts, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        foreach (var chunk in amounts.Select(pair => (Budget: pair.Key.ToText(), Amount: pair.Value))
            .OrderBy(row => row.Budget, StringComparer.Ordinal).Chunk(100))
        {
            var sql = new StringBuilder();
            List<(string Name, SqlValue Value)> values = [("@node", holder.Node), ("@process", holder.Process), ("@number", number)];
            for (var i = 0; i < chunk.Length; i++)
            {
                sql.Append(CultureInfo.InvariantCulture, $"""
                    UPDATE budget_leases SET outstanding = CASE WHEN outstanding > @amount{i} THEN outstanding - @amount{i} ELSE 0 END,
                        return_number = @number
                    WHERE budget = @budget{i} AND node = @node AND process = @process AND return_number < @number;

                    """);
                var suffix = i.ToString(CultureInfo.InvariantCulture);
                values.AddRange([("@budget" + suffix, chunk[i].Budget), ("@amount" + suffix, chunk[i].Amount)]);
            }
            await connection.ExecuteAsync(sql.ToString(), [.. values], cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
