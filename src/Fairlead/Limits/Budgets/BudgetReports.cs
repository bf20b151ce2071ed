using System.Globalization;
using System.Text;
using Fairlead.Storage;

namespace Fairlead.Limits.Budgets;

/// <summary>
/// Tells other nodes how much of the leases of this process its calls have taken, so that they can show what is free. For one loop.
/// </summary>
internal sealed class BudgetReports(IStorage storage, BudgetHolder holder, LeasedBudgets budgets, IBudgetSlices? slices = null)
{
    /// <summary>Leases of one report. The others have their turn in the next ones.</summary>
    private const int MaxLeases = 1000;

    private const int MaxStatements = 100;

    /// <summary>What calls hold of money, as text; null where no other process can read it, or nothing is known.</summary>
    public string? Text => HasReaders && slices is not null ? ReservedAmountsText.Write(slices.ReadHeld()) : null;

    // In SQLite no other process can use the database.
    private bool HasReaders => storage.Provider != StorageProvider.Sqlite;

    /// <summary>Writes what was taken of the leases for which it has changed.</summary>
    public async Task WriteAsync(CancellationToken cancellationToken)
    {
        if (!HasReaders || slices is null) return;
        var changed = budgets.All.Select(one => (one.Key, Budget: one.Value, Taken: slices.TakenOf(one.Key)))
            .Where(one => one.Budget.Reported != one.Taken).Take(MaxLeases).Select(one => (Text: one.Key.ToText(), one.Budget, one.Taken))
            .OrderBy(one => one.Text, StringComparer.Ordinal).ToArray();
        foreach (var chunk in changed.Chunk(MaxStatements))
        {
            var sql = new StringBuilder();
            List<(string Name, SqlValue Value)> values = [("@node", holder.Node), ("@process", holder.Process)];
            for (var i = 0; i < chunk.Length; i++)
            {
                sql.Append(CultureInfo.InvariantCulture, $"""
                    UPDATE budget_leases SET taken = @taken{i} WHERE budget = @budget{i} AND node = @node AND process = @process;

                    """);
                var suffix = i.ToString(CultureInfo.InvariantCulture);
                values.AddRange([("@budget" + suffix, chunk[i].Text), ("@taken" + suffix, chunk[i].Taken)]);
            }
            await using var connection = await storage.OpenAsync(cancellationToken);
            await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
            await connection.ExecuteAsync(sql.ToString(), [.. values], cancellationToken);
            await transaction.CommitAsync(cancellationToken);
            foreach (var (_, budget, taken) in chunk) budget.Reported = taken;
        }
    }
}
