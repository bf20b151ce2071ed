using System.Text;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Ledger;
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

        var storage = database.Open([.. before, new AuditBlockSchema()]);
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
        var reports = await new ChainVerifier(storage, signer.Keys, [], []).RunAsync(null, Cancel);
        Assert.Equal(["node_0", "node_1"], reports.Select(report => report.Node));
        Assert.All(reports, report => Assert.Empty(report.Faults));
        Assert.Equal(rows, reports.Sum(report => report.Records));
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
