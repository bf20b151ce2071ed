using Fairlead.Auditing.Ledger;
using Fairlead.Storage;
using Fairlead.Tests.Storage;

namespace Fairlead.Tests.Auditing.Ledger;

public sealed class UsageClassSchemaTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task Migrate_SumsOfEarlierVersion_HaveTheStandardClass(int provider)
    {
        using var database = new TemporaryStorage((StorageProvider)provider);
        await using (var connection = await database.Open(new LedgerSchema(), new CompactLedgerSchema()).OpenAsync(Cancel))
        {
            await connection.ExecuteAsync("""
                INSERT INTO usage_hours (project_id, key_id, hour, model, outcome, organization_id, requests, input_tokens, cached_input_tokens,
                    cache_write_tokens, output_tokens, reasoning_tokens, cost_pico_usd)
                VALUES ('p', 'k', 3600000, 'm', 'complete', 'o', 1, 2, 3, 4, 5, 6, 7), ('p', 'k', 7200000, 'm', 'complete', 'o', 1, 2, 3, 4, 5, 6, 8)
                """, [], Cancel);
        }
        await using var migrated = await database.Open(new LedgerSchema(), new CompactLedgerSchema(), new UsageClassSchema(), new ReconciliationSchema()).OpenAsync(Cancel);
        // The class is part of the key.
        await migrated.ExecuteAsync("""
            INSERT INTO usage_hours (project_id, key_id, hour, model, outcome, class, organization_id, requests, input_tokens, cached_input_tokens,
                cache_write_tokens, output_tokens, reasoning_tokens, cost_pico_usd)
            VALUES ('p', 'k', 3600000, 'm', 'complete', 'bulk', 'o', 1, 2, 3, 4, 5, 6, 9)
            """, [], Cancel);
        var rows = await migrated.QueryAsync(
            "SELECT * FROM usage_hours ORDER BY hour, class", [],
            row => $"{row.Text("project_id")} {row.Text("key_id")} {row.Int64("hour")} {row.Text("model")} {row.Text("outcome")} {row.Text("class")} {row.Text("organization_id")} "
                + $"{row.Int64("requests")} {row.Int64("input_tokens")} {row.Int64("cached_input_tokens")} {row.Int64("cache_write_tokens")} {row.Int64("output_tokens")} {row.Int64("reasoning_tokens")} {row.Int64("cost_pico_usd")}",
            Cancel);
        Assert.Equal(
            [
                "p k 3600000 m complete bulk o 1 2 3 4 5 6 9", "p k 3600000 m complete standard o 1 2 3 4 5 6 7", "p k 7200000 m complete standard o 1 2 3 4 5 6 8",
            ],
            rows);
    }
}
