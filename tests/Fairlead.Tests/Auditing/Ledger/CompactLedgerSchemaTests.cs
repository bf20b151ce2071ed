using Fairlead.Auditing.Ledger;
using Fairlead.Storage;
using Fairlead.Tests.Storage;
using Microsoft.Data.Sqlite;

namespace Fairlead.Tests.Auditing.Ledger;

public sealed class CompactLedgerSchemaTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>What an earlier version wrote reads the same afterwards, but for the ids of attempts, which follow from their calls' now.</summary>
    [Fact]
    public async Task Migrate_RecordsOfEarlierVersion_KeepsAllRecords()
    {
        using var database = new TemporaryStorage(StorageProvider.Sqlite);
        await using (var connection = await database.Open(new LedgerSchema()).OpenAsync(Cancel))
        {
            await using var command = connection.CreateCommand();
            command.CommandText = """
                INSERT INTO audit_records (id, node, sequence, at, organization_id, project_id, key_id, request_id, model, outcome, record) VALUES
                    ('aud_01AAAAAAAAAAAAAAAAAAAAAAAA', 'node_1', 1, 5, 'org_1', 'proj_1', 'key_1', 'req_01AAAAAAAAAAAAAAAAAAAAAAAB', 'large', 'complete', '{"a":1}'),
                    ('aud_01AAAAAAAAAAAAAAAAAAAAAAAC', 'node_1', 2, 6, 'org_1', 'proj_2', 'key_2', 'req_01AAAAAAAAAAAAAAAAAAAAAAAD', NULL, 'failed', '{"b":2}');
                INSERT INTO ledger_entries (attempt_id, generation_id, number, at, organization_id, project_id, key_id, model, provider, deployment, upstream_model, outcome,
                    input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, basis, cost_pico_usd) VALUES
                    ('att_1', 'gen_01AAAAAAAAAAAAAAAAAAAAAAAA', 1, 5, 'org_1', 'proj_1', 'key_1', 'large', 'acme', 'acme/large', 'large-2', 'provider_error', 1, 2, 3, 4, 5, 'estimated', 600),
                    ('att_2', 'gen_01AAAAAAAAAAAAAAAAAAAAAAAA', 2, 5, 'org_1', 'proj_1', 'key_1', 'large', 'acme', 'acme/other', 'large-2', NULL, 10, 20, 30, 40, 50, 'measured', 700);
                """;
            await command.ExecuteNonQueryAsync(Cancel);
        }
        await using var migrated = await database.Open(new LedgerSchema(), new CompactLedgerSchema()).OpenAsync(Cancel);
        Assert.Equal(
            [
                "1 aud_01AAAAAAAAAAAAAAAAAAAAAAAA node_1 1 5 org_1 proj_1 key_1 req_01AAAAAAAAAAAAAAAAAAAAAAAB large complete {\"a\":1}",
                "2 aud_01AAAAAAAAAAAAAAAAAAAAAAAC node_1 2 6 org_1 proj_2 key_2 req_01AAAAAAAAAAAAAAAAAAAAAAAD  failed {\"b\":2}",
            ],
            await RowsAsync((SqliteConnection)migrated, "SELECT * FROM audit_records ORDER BY number"));
        Assert.Equal(
            [
                "att_01AAAAAAAAAAAAAAAAAAAAAAAA_1 gen_01AAAAAAAAAAAAAAAAAAAAAAAA 1 5 org_1 proj_1 key_1 large acme acme/large large-2 provider_error 1 2 3 4 5 estimated 600",
                "att_01AAAAAAAAAAAAAAAAAAAAAAAA_2 gen_01AAAAAAAAAAAAAAAAAAAAAAAA 2 5 org_1 proj_1 key_1 large acme acme/other large-2  10 20 30 40 50 measured 700",
            ],
            await RowsAsync((SqliteConnection)migrated, "SELECT * FROM ledger_entries ORDER BY number"));
    }

    private static async Task<List<string>> RowsAsync(SqliteConnection connection, string sql)
    {
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // Constants of this test.
        command.CommandText = sql;
#pragma warning restore CA2100
        await using var reader = await command.ExecuteReaderAsync(Cancel);
        var rows = new List<string>();
        while (await reader.ReadAsync(Cancel)) rows.Add(string.Join(' ', Enumerable.Range(0, reader.FieldCount).Select(column => reader.GetValue(column))));
        return rows;
    }
}
