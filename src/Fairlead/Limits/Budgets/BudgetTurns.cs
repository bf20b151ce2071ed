namespace Fairlead.Limits.Budgets;

/// <summary>
/// Lets one transaction of this process at a time ask for the same budget. The others wait here, and not on a connection to the database.
/// Thread-safe.
/// </summary>
internal sealed class BudgetTurns
{
    private readonly SemaphoreSlim[] _turns = [.. Enumerable.Range(0, 128).Select(_ => new SemaphoreSlim(1, 1))];

    /// <summary>Waits for the turn of all these budgets; dispose the result to end it.</summary>
    public async Task<IDisposable> EnterAsync(IEnumerable<BudgetKey> keys, CancellationToken cancellationToken)
    {
        // In one order, so that no two wait for each other.
        var wanted = keys.Select(key => _turns[(uint)key.GetHashCode() % (uint)_turns.Length])
            .Distinct().OrderBy(turn => Array.IndexOf(_turns, turn)).ToArray();
        var taken = new Taken(wanted.Length);
        try
        {
            foreach (var turn in wanted)
            {
                await turn.WaitAsync(cancellationToken);
                taken.Add(turn);
            }
            return taken;
        }
        catch
        {
            taken.Dispose();
            throw;
        }
    }

    private sealed class Taken(int capacity) : IDisposable
    {
        private readonly List<SemaphoreSlim> _taken = new(capacity);

        public void Add(SemaphoreSlim turn) => _taken.Add(turn);

        public void Dispose()
        {
            foreach (var turn in _taken) turn.Release();
            _taken.Clear();
        }
    }
}
