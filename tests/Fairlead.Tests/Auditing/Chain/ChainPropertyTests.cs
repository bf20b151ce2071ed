using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Spooling;
using Fairlead.Storage;
using Fairlead.Tests.Auditing.Ledger;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Auditing.Chain;

public sealed class SqliteChainPropertyTests() : ChainPropertyTests(StorageProvider.Sqlite);

public sealed class PostgresChainPropertyTests() : ChainPropertyTests(StorageProvider.Postgres);

/// <summary>Whatever happens to a node, its chain is whole and has each call once.</summary>
public abstract class ChainPropertyTests : IDisposable
{
    private static readonly int Histories = Environment.GetEnvironmentVariable("FAIRLEAD_TEST_FULL") == "1" ? 40 : 4;

    private readonly StorageProvider _provider;

    private protected ChainPropertyTests(StorageProvider provider) => _provider = provider;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => GC.SuppressFinalize(this);

    [Fact]
    public async Task Verify_RandomHistories_AreWholeAndHaveEachCallOnce()
    {
        for (var seed = 1; seed <= Histories; seed++) await RunAsync(new Random(seed));
    }

    private async Task RunAsync(Random random)
    {
        using var fixture = new LedgerFixture(_provider);
        using var signer = AuditSigner.Open(Path.Combine(fixture.Spools.Root, "key.pem"));
        var editor = new BlockEditor(fixture.Storage, signer, TimeProvider.System);
        var ended = new HashSet<string>(StringComparer.Ordinal);
        var removed = 0;
        var spool = fixture.Spools.Open(segmentBytes: 256 * 1024);
        var shipper = fixture.ShipSigned(spool, signer);
        for (var step = 0; step < 25; step++)
        {
            switch (random.Next(8))
            {
                case < 4:
                    for (var left = random.Next(1, step % 7 == 0 ? 1500 : 60); left > 0; left--)
                    {
                        var call = RecordedCalls.New(key: $"key_{random.Next(4)}", model: $"model {random.Next(3)}");
                        await spool.AttemptStartedAsync(call, call.Try());
                        await spool.CallEndedAsync(call.End(), 200);
                        ended.Add(call.GenerationId);
                    }
                    break;
                case 4:
                    await LedgerFixture.ShipAllAsync(shipper);
                    break;
                case 5:
                    // The process dies; sometimes the database does not know any more how far it had read.
                    spool.Dispose();
                    // Nothing but its range is known of a block that has lost all its records by retention.
                    if (random.Next(2) == 0 && await fixture.CountAsync("SELECT COUNT(*) FROM audit_removed") == 0)
                        await fixture.ExecuteAsync("DELETE FROM spool_positions");
                    spool = fixture.Spools.Open(segmentBytes: 256 * 1024);
                    shipper = fixture.ShipSigned(spool, signer);
                    break;
                case 6:
                    await LedgerFixture.ShipAllAsync(shipper);
                    await using (var connection = await fixture.Storage.OpenAsync(Cancel))
                    {
                        var numbers = await connection.QueryAsync("SELECT number FROM audit_blocks", [], row => row.Int64("number"), Cancel);
                        if (numbers.Count == 0) break;
                        var (some, share) = (numbers[random.Next(numbers.Count)], random.Next(1, 4));
                        removed += await editor.RemoveAsync(
                            some, (_, place) => place % share == 0, random.Next(2) == 0 ? RemovalReason.Retention : RemovalReason.Erasure, Cancel);
                    }
                    break;
                default:
                    Assert.All(await fixture.VerifyAsync(signer.Keys), report => Assert.Empty(report.Faults));
                    break;
            }
        }
        await LedgerFixture.ShipAllAsync(shipper);
        Assert.All(await fixture.VerifyAsync(signer.Keys), report => Assert.Empty(report.Faults));
        var generations = await fixture.TextsAsync("SELECT generation_id FROM audit_records");
        Assert.Equal(ended.Count - removed, generations.Count);
        Assert.Subset(ended, generations);
        Assert.Equal(ended.Count, await fixture.CountAsync("SELECT COALESCE(SUM(requests), 0) FROM usage_hours"));
    }
}
