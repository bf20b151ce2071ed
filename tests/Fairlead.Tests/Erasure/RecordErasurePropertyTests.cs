using System.Text;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Removal;
using Fairlead.Auditing.Spooling;
using Fairlead.Erasure;
using Fairlead.Storage;
using Fairlead.Tests.Auditing;
using Fairlead.Tests.Auditing.Ledger;
using Fairlead.Tests.Common;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Erasure;

public sealed class SqliteRecordErasurePropertyTests() : RecordErasurePropertyTests(StorageProvider.Sqlite);

public sealed class PostgresRecordErasurePropertyTests() : RecordErasurePropertyTests(StorageProvider.Postgres);

/// <summary>Whatever is erased: the chain is whole, nothing that was selected is left, and everything else is as it was.</summary>
public abstract class RecordErasurePropertyTests
{
    private static readonly int Histories = Environment.GetEnvironmentVariable("FAIRLEAD_TEST_FULL") == "1" ? 30 : 3;

    private readonly StorageProvider _provider;

    private protected RecordErasurePropertyTests(StorageProvider provider) => _provider = provider;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Erase_RandomRecordsAndSelectors_RemovesExactlyTheSelectedAndKeepsTheChain()
    {
        for (var seed = 1; seed <= Histories; seed++) await RunAsync(new Random(seed));
    }

    private async Task RunAsync(Random random)
    {
        using var fixture = new LedgerFixture(_provider);
        using var signer = AuditSigner.Open(Path.Combine(fixture.Spools.Root, "key.pem"));
        using var world = new World(fixture, signer);
        var calls = new List<Call>();
        for (var step = 0; step < 8; step++)
        {
            for (var left = random.Next(1, step == 3 ? 1400 : 200); left > 0; left--) calls.Add(await world.CallAsync(random));
            // Some erasures find records that are not in the database yet.
            if (random.Next(3) > 0) await world.ShipAsync();
            var one = calls[random.Next(calls.Count)];
            var (selector, isSelected) = random.Next(6) switch
            {
                0 => (new ErasureSelector(ErasureKind.Generation, one.Generation, null, null), (Func<Call, bool>)(call => call.Generation == one.Generation)),
                1 => (new ErasureSelector(ErasureKind.Key, one.Key, one.Project, null), call => call.Key == one.Key),
                2 when step > 5 => (new ErasureSelector(ErasureKind.Project, one.Project, one.Project, null), call => call.Project == one.Project),
                3 => (ErasureSelector.OfEndUser(one.User ?? "nobody", null, "org_of_" + one.Project), call => call.User == (one.User ?? "nobody") && call.Project == one.Project),
                // The key of a caller with a token: the same in several organizations.
                4 => (new ErasureSelector(ErasureKind.Key, one.Key, null, "org_of_" + one.Project), call => call.Key == one.Key && call.Project == one.Project),
                _ => (ErasureSelector.OfEndUser(one.User ?? "nobody", one.Project, null), call => call.User == (one.User ?? "nobody") && call.Project == one.Project),
            };
            var (before, sums) = (await world.RecordsAsync(), await world.SumsAsync());
            var selected = calls.Where(call => !call.IsErased && isSelected(call)).ToList();
            var id = await world.EraseAsync(selector);
            await world.ShipAsync();
            Assert.All(calls.Where(isSelected), call => call.IsErased = true);

            Assert.All(await fixture.VerifyAsync(signer.Keys), report => Assert.Empty(report.Faults));
            var after = await world.RecordsAsync();
            Assert.Equal(calls.Where(call => !call.IsErased).Select(call => call.Generation).Order(StringComparer.Ordinal), after.Keys.Order(StringComparer.Ordinal));
            Assert.All(before.Where(record => after.ContainsKey(record.Key)), record => Assert.Equal(record.Value, after[record.Key]));
            Assert.Equal(selected.Count, await world.CountAsync(id));
            Assert.Equal(calls.Count, await world.SumsAsync());
            Assert.True(sums <= calls.Count);

            // The same again finds nothing.
            Assert.Equal(0, await world.CountAsync(await world.EraseAsync(selector)));
        }
    }

    private sealed record Call(string Generation, string Project, string Key, string? User)
    {
        public bool IsErased { get; set; }
    }

    private sealed class World : IDisposable
    {
        private readonly LedgerFixture _fixture;
        private readonly Spool _spool;
        private readonly LedgerShipper _shipper;
        private readonly ErasureWorker _worker;
        private readonly LateRecords _late;
        private readonly RecordRemoval _removal;

        public World(LedgerFixture fixture, AuditSigner signer)
        {
            _fixture = fixture;
            _spool = fixture.Spools.Open(segmentBytes: 256 * 1024);
            _shipper = fixture.ShipSigned(_spool, signer);
            var (storage, time) = (fixture.Storage, TimeProvider.System);
            _removal = new RecordRemoval(storage, time, NullLogger<RecordRemoval>.Instance, signer, _spool);
            // The shipper does not run: what is on the spool arrives late.
            var records = new ErasableRecords(storage, _shipper, _removal);
            var queue = new ErasureQueue(storage, time);
            _worker = new ErasureWorker(
                storage, queue, new ErasureCleaning(storage, time, NullLogger<ErasureCleaning>.Instance), [records], [records], time,
                NullLogger<ErasureWorker>.Instance);
            _late = new LateRecords(storage, records, _removal, queue, time, NullLogger<LateRecords>.Instance);
        }

        public async Task<Call> CallAsync(Random random)
        {
            var user = random.Next(3) == 0 ? null : $"user {random.Next(4)} \"ü\"";
            var call = RecordedCalls.New(project: $"proj_{random.Next(3)}", key: $"key_{random.Next(4)}");
            if (user is not null) call.Facts.Label().User = user;
            await _spool.AttemptStartedAsync(call, call.Try());
            await _spool.CallEndedAsync(call.End(), 200);
            return new Call(call.GenerationId, call.Caller.ProjectId, call.Caller.KeyId, user);
        }

        public async Task ShipAsync()
        {
            await LedgerFixture.ShipAllAsync(_shipper);
            if (await _late.RunAsync(Cancel) > 0) await FinishAsync();
        }

        public async Task<string> EraseAsync(ErasureSelector selector)
        {
            var row = new ErasureRow
            {
                Id = Fairlead.Conversation.Ids.New(ErasureRow.Prefix, TimeProvider.System), Selector = selector, What = ErasureRow.All,
                CreatedAt = TimeProvider.System.GetUtcNow(),
            };
            await using (var connection = await _fixture.Storage.OpenAsync(Cancel))
            await using (var transaction = await _fixture.Storage.Sql.BeginWriteAsync(connection, Cancel))
            {
                await ErasureTable.InsertAsync(connection, row, Cancel);
                await transaction.CommitAsync(Cancel);
            }
            await FinishAsync();
            return row.Id;
        }

        public async Task<long> CountAsync(string id) =>
            await _fixture.CountAsync($"SELECT COALESCE(SUM(count), 0) FROM erasure_counts WHERE erasure_id = '{id}'");

        public Task<long> SumsAsync() => _fixture.CountAsync("SELECT COALESCE(SUM(requests), 0) FROM usage_hours");

        /// <summary>The records by their generations, as they were written.</summary>
        public async Task<Dictionary<string, string>> RecordsAsync()
        {
            await using var connection = await _fixture.Storage.OpenAsync(Cancel);
            await using var copy = await StoredRecords.CopyAsync(connection, Cancel);
            var rows = await copy.QueryAsync("SELECT generation_id, record FROM audit_records", [], row => (row.Text("generation_id"), row.Text("record")), Cancel);
            return rows.ToDictionary(row => row.Item1, row => row.Item2, StringComparer.Ordinal);
        }

        public void Dispose() => _worker.Dispose();

        // A late erasure pauses for a moment, which is not due at once.
        private async Task FinishAsync()
        {
            await _fixture.ExecuteAsync("UPDATE erasures SET next_at = 0");
            while (await _worker.RunAsync(Cancel)) await _fixture.ExecuteAsync("UPDATE erasures SET next_at = 0");
        }
    }
}
