using Fairlead.Auditing.Ledger;
using Fairlead.Storage;
using Fairlead.Tests.Storage;

namespace Fairlead.Tests.Auditing.Ledger;

public sealed class ReconciliationSchemaTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>What earlier versions charged is summed once, from their tables: SQLite's compact ones, too.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Migrate_EntriesOfEarlierVersion_AreSummed(bool isPostgres)
    {
        using var database = new TemporaryStorage(isPostgres ? StorageProvider.Postgres : StorageProvider.Sqlite);
        ISchemaStep[] before = [new LedgerSchema(), new CompactLedgerSchema()];
        var old = database.Open(new LedgerSchema());
        foreach (var (call, number, at, outcome, basis, tokens) in new[]
        {
            ("a", 1, 5L, "provider_lost", "estimated", 10), ("a", 2, 5L, "complete", "measured", 20), ("b", 1, 86_399_999L, "complete", "measured", 1), ("c", 1, 7L, "complete", "estimated", 4),
            ("d", 1, 8L, "lost", "estimated", 2), ("e", 1, 8L, "failed", "measured", 0), ("f", 1, 86_400_000L, "complete", "measured", 8),
        })
        {
            var id = call.PadRight(26, '0');
            if (number == 1)
            {
                await old.ExecuteAsync(
                    "INSERT INTO audit_records (id, node, sequence, at, organization_id, project_id, key_id, request_id, model, outcome, record) VALUES (@id, 'n', 1, @at, 'o', 'p', 'k', 'r', 'm', 'complete', '{}')",
                    [("@id", "aud_" + id), ("@at", at)], Cancel);
            }
            await old.ExecuteAsync(
                """
                INSERT INTO ledger_entries (attempt_id, generation_id, number, at, organization_id, project_id, key_id, model, provider, deployment, upstream_model, outcome,
                    input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, basis, cost_pico_usd)
                VALUES (@attempt, @generation, @number, @at, 'o', 'p', 'k', 'm', 'acme', 'acme/u', 'u', @outcome, @tokens, 0, 0, 0, 0, @basis, @cost)
                """,
                [("@attempt", $"att_{id}_{number}"), ("@generation", "gen_" + id), ("@number", (long)number), ("@at", at), ("@outcome", outcome), ("@tokens", (long)tokens), ("@basis", basis),
                    ("@cost", call == "f" ? long.MaxValue : tokens * 100L)],
                Cancel);
        }
        Assert.Equal(
            [
                "0 acme u  2 21 2100 21 2100",
                "0 acme u cut 1 2 200 0 0",
                "0 acme u estimated 1 4 400 0 0",
                "0 acme u retried 1 10 1000 0 0",
                "86400000 acme u  1 8 1000000000000000 8 1000000000000000",
            ],
            await RowsAsync(database.Open([.. before, new ReconciliationSchema()])));
    }

    private static async Task<List<string>> RowsAsync(IStorage storage)
    {
        await using var connection = await storage.OpenAsync(Cancel);
        return await connection.QueryAsync(
            "SELECT * FROM reconciliation_days ORDER BY day, provider, model, cause", [],
            row => $"{row.Int64("day")} {row.Text("provider")} {row.Text("model")} {row.Text("cause")} {row.Int64("attempts")} {row.Int64("input_tokens")} {row.Int64("cost_pico_usd")} "
                + $"{row.Int64("reported_input_tokens")} {row.Int64("reported_cost_pico_usd")}",
            Cancel);
    }
}
