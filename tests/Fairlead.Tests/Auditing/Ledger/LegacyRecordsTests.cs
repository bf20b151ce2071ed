using System.Text;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Records;
using Fairlead.Storage;
using Fairlead.Tests.Storage;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Auditing.Ledger;

public sealed class SqliteLegacyRecordsTests() : LegacyRecordsTests(StorageProvider.Sqlite);

public sealed class PostgresLegacyRecordsTests() : LegacyRecordsTests(StorageProvider.Postgres);

/// <summary>Rows of an earlier version become blocks: all of them, once, and byte for byte.</summary>
public abstract class LegacyRecordsTests
{
    private readonly StorageProvider _provider;

    private protected LegacyRecordsTests(StorageProvider provider) => _provider = provider;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Convert_RowsOfEarlierVersion_AreFoundAndProven()
    {
        using var database = new TemporaryStorage(_provider);
        ISchemaStep[] before = [new LedgerSchema(), new CompactLedgerSchema(), new UsageClassSchema(), new ReconciliationSchema()];
        var rows = (2 * LegacyRecords.BatchRows) + 100;
        await FillAsync(database.Open(before), rows);

        var storage = database.Open([.. before, new AuditBlockSchema(), new Fairlead.Auditing.Content.ContentSchema()]);
        using var signer = AuditSigner.Open(Path.Combine(database.DataDirectory, "key.pem"));
        using var conversion = new LegacyRecords(storage, TimeProvider.System, NullLogger<LegacyRecords>.Instance, signer);
        Assert.Equal(rows, await conversion.ConvertAsync(Cancel));
        Assert.Equal(0, await conversion.ConvertAsync(Cancel));

        await using (var connection = await storage.OpenAsync(Cancel))
        {
            foreach (var table in (string[])["audit_records", "ledger_entries"])
                Assert.Equal(0, await connection.Int64Async("SELECT COUNT(*) FROM " + table, [], Cancel));
        }
        var reader = new AuditReader(storage);
        var found = await reader.ReadAsync(new AuditQuery { KeyId = "key_3", Limit = 500 }, Cancel);
        Assert.Equal(Enumerable.Range(0, rows).Count(i => i % 5 == 3), found.Records.Count);
        Assert.Equal(Json(703), Encoding.UTF8.GetString((await reader.FindGenerationAsync(Generation(703), Cancel))!.Json.Span));
        // In the chain of the node that converts, whichever node wrote them.
        var report = Assert.Single(await new ChainVerifier(storage, signer.Keys, () => [], []).RunAsync(null, Cancel));
        Assert.Empty(report.Faults);
        Assert.True(report.IsProven);
        Assert.Equal((LegacyRecords.WithoutSpool, (long)rows), (report.Node, report.Records));
    }

    /// <summary>The spool of a killed process may have what an earlier version has written as a row.</summary>
    [Fact]
    public async Task Write_RecordThatIsARowOfAnEarlierVersion_IsNotAddedAgain()
    {
        using var database = new TemporaryStorage(_provider);
        ISchemaStep[] before = [new LedgerSchema(), new CompactLedgerSchema(), new UsageClassSchema(), new ReconciliationSchema()];
        await FillAsync(database.Open(before), 3);
        var storage = database.Open([.. before, new AuditBlockSchema(), new Fairlead.Auditing.Content.ContentSchema()]);
        var chain = new ChainWriter(null, null, TimeProvider.System);
        var calls = Enumerable.Range(2, 2).Select(i => ShippedCall.Read(Encoding.UTF8.GetBytes(Json(i)), i)!).ToList();
        // The fourth is new.
        Assert.Equal(1, await LedgerWriter.WriteAsync(storage, chain, new LedgerBatch("node_0", calls), null, null, false, Cancel));
    }

    [Fact]
    public async Task Retention_RowsThatAreNotConverted_AreDeleted()
    {
        using var database = new TemporaryStorage(_provider);
        ISchemaStep[] before = [new LedgerSchema(), new CompactLedgerSchema(), new UsageClassSchema(), new ReconciliationSchema()];
        await FillAsync(database.Open(before), 1500);
        var storage = database.Open([.. before, new AuditBlockSchema(), new Fairlead.Auditing.Content.ContentSchema()]);
        using var retention = new LedgerRetention(storage, new FixedConfiguration(database.DataDirectory), TimeProvider.System, NullLogger<LedgerRetention>.Instance);
        Assert.Equal(1500, await retention.DeleteAsync(Cancel));
        await using var connection = await storage.OpenAsync(Cancel);
        Assert.Equal(0, await connection.Int64Async("SELECT COUNT(*) FROM audit_records", [], Cancel));
    }

    [Fact]
    public async Task Convert_AttemptsWithoutRecords_AreDeleted()
    {
        // In SQLite, attempts are rows of their call.
        if (_provider == StorageProvider.Sqlite) return;
        using var database = new TemporaryStorage(_provider);
        var storage = database.Open(
            [new LedgerSchema(), new CompactLedgerSchema(), new UsageClassSchema(), new ReconciliationSchema(), new AuditBlockSchema(), new Fairlead.Auditing.Content.ContentSchema()]);
        await using var connection = await storage.OpenAsync(Cancel);
        await connection.ExecuteAsync(
            """
            INSERT INTO ledger_entries (attempt_id, generation_id, number, at, organization_id, project_id, key_id, provider, deployment, upstream_model,
                input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, basis, cost_pico_usd)
            SELECT 'att_' || i, 'gen_' || i, 1, i, 'o', 'p', 'k', 'v', 'd', 'm', 1, 0, 0, 1, 0, 'provider', 1 FROM generate_series(1, 6000) AS i
            """,
            [], Cancel);
        using var conversion = new LegacyRecords(storage, TimeProvider.System, NullLogger<LegacyRecords>.Instance);
        Assert.Equal(0, await conversion.ConvertAsync(Cancel));
        Assert.Equal(0, await connection.Int64Async("SELECT COUNT(*) FROM ledger_entries", [], Cancel));
    }

    private static string Generation(int number) => $"gen_01ABCDEFGHJKMNPQRSTV{number:D6}";

    private static string Json(int number) => $$"""
        {"id":"aud_{{Generation(number)[4..]}}","at":"2026-11-23T12:00:{{number % 60:D2}}Z","request_id":"req_{{Generation(number)[4..]}}","generation_id":"{{Generation(number)}}","organization_id":"o","project_id":"p","key_id":"key_{{number % 5}}","model":"m","attempts":[],"outcome":"complete"}
        """;

    private static async Task FillAsync(IStorage storage, int rows)
    {
        await using var connection = await storage.OpenAsync(Cancel);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, Cancel);
        var isCompact = storage.Provider == StorageProvider.Sqlite;
        if (isCompact)
        {
            await connection.ExecuteAsync(
                "INSERT INTO audit_names (number, name) VALUES (1, 'node_0'), (2, 'node_1'), (3, 'o'), (4, 'p'), (5, 'k'), (6, 'complete')", [], Cancel);
        }
        for (var i = 0; i < rows; i++)
        {
            await connection.ExecuteAsync(
                isCompact
                    ? "INSERT INTO audit_calls (id, node, sequence, at, organization, project, key, outcome, record) VALUES (@id, 1 + @i % 2, @i, @i, 3, 4, 5, 6, @record)"
                    : "INSERT INTO audit_records (id, node, sequence, at, organization_id, project_id, key_id, request_id, outcome, record) VALUES (@id, 'node_' || @i % 2, @i, @i, 'o', 'p', 'k', 'r', 'complete', @record)",
                [("@id", "aud_" + Generation(i)[4..]), ("@i", (long)i), ("@record", Json(i))], Cancel);
        }
        await transaction.CommitAsync(Cancel);
    }
}
