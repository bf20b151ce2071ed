using System.Data.Common;
using Fairlead.Auditing;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Storage;
using Fairlead.Tests.Auditing.Spooling;
using Fairlead.Tests.Storage;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Auditing.Ledger;

public sealed class SqliteLedgerShipperTests() : LedgerShipperTests(StorageProvider.Sqlite);

public sealed class PostgresLedgerShipperTests() : LedgerShipperTests(StorageProvider.Postgres);

public abstract class LedgerShipperTests : IDisposable
{
    private readonly LedgerFixture _fixture;

    private protected LedgerShipperTests(StorageProvider provider) => _fixture = new LedgerFixture(provider);

    public void Dispose()
    {
        _fixture.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Ship_FinishedCalls_AreAuditedChargedAndAggregated()
    {
        var spool = _fixture.Spools.Open();
        for (var i = 0; i < 10; i++) await RunAsync(spool);
        await spool.CallEndedAsync(RecordedCalls.New().End(outcome: Outcome.Failed, error: GatewayError.ModelNotFound("x")), 404);
        await LedgerFixture.ShipAllAsync(_fixture.Ship(spool));

        Assert.Equal(11, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_records"));
        Assert.Equal(10, await _fixture.CountAsync("SELECT COUNT(*) FROM ledger_entries"));
        Assert.Equal(280_000_000, await _fixture.CountAsync("SELECT MAX(cost_pico_usd) FROM ledger_entries"));
        // A refusal is on record but is no request that was served.
        Assert.Equal(10, await _fixture.CountAsync("SELECT SUM(requests) FROM usage_hours"));
        Assert.Equal(1000, await _fixture.CountAsync("SELECT SUM(input_tokens) FROM usage_hours"));
        Assert.Equal(2_800_000_000, await _fixture.CountAsync("SELECT SUM(cost_pico_usd) FROM usage_hours"));
    }

    [Fact]
    public async Task Ship_CallsOfTwoClasses_AreSummedApart()
    {
        var spool = _fixture.Spools.Open();
        var shipper = _fixture.Ship(spool);
        foreach (var name in (string[])["bulk", "realtime", "bulk"])
        {
            var call = RecordedCalls.New();
            call.Class = name;
            await spool.AttemptStartedAsync(call, call.Try());
            await spool.CallEndedAsync(call.End(), 200);
        }
        await LedgerFixture.ShipAllAsync(shipper);
        Assert.Equal(2, await _fixture.CountAsync("SELECT SUM(requests) FROM usage_hours WHERE class = 'bulk'"));
        Assert.Equal(1, await _fixture.CountAsync("SELECT SUM(requests) FROM usage_hours WHERE class = 'realtime'"));
        Assert.Equal(3, await _fixture.CountAsync("SELECT SUM(requests) FROM usage_hours"));
    }

    [Fact]
    public async Task Ship_PositionLost_WritesNoDuplicates()
    {
        var spool = _fixture.Spools.Open();
        for (var i = 0; i < 20; i++) await RunAsync(spool);
        await LedgerFixture.ShipAllAsync(_fixture.Ship(spool));
        // As if the process had died between the rows and the position, were they not one transaction.
        await _fixture.ExecuteAsync("DELETE FROM spool_positions");
        await LedgerFixture.ShipAllAsync(_fixture.Ship(spool));

        Assert.Equal(20, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_records"));
        Assert.Equal(20, await _fixture.CountAsync("SELECT COUNT(*) FROM ledger_entries"));
        Assert.Equal(20, await _fixture.CountAsync("SELECT SUM(requests) FROM usage_hours"));
        Assert.Equal(2000, await _fixture.CountAsync("SELECT SUM(input_tokens) FROM usage_hours"));
    }

    /// <summary>PostgreSQL's texts cannot hold the character; a record that can never be written would hold up all behind it.</summary>
    [Fact]
    public async Task Ship_TextWithNulCharacter_IsWritten()
    {
        var spool = _fixture.Spools.Open();
        var call = RecordedCalls.New(model: "a\0b");
        await spool.AttemptStartedAsync(call, call.Try());
        await spool.CallEndedAsync(call.End(), 200);
        await RunAsync(spool);
        await LedgerFixture.ShipAllAsync(_fixture.Ship(spool));

        Assert.Equal(2, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_records"));
        Assert.Equal(2, await _fixture.CountAsync("SELECT SUM(requests) FROM usage_hours"));
    }

    /// <summary>A broken provider's numbers at an absurd price: the sum stays at the end of its range, and what comes behind is still written.</summary>
    [Fact]
    public async Task Ship_CostOverflow_DoesNotBlockShipping()
    {
        var spool = _fixture.Spools.Open();
        var shipper = _fixture.Ship(spool);
        for (var i = 0; i < 4; i++)
        {
            var call = RecordedCalls.New();
            var attempt = call.Try();
            await spool.AttemptStartedAsync(call, attempt);
            call.End();
            attempt.Usage = new Usage(Usage.MaxTokens, Usage.MaxTokens);
            attempt.Cost = new Cost(2_147_000_000_000m, Basis.Measured);
            await spool.CallEndedAsync(call, 200);
            // Within one batch and over several.
            if (i % 2 == 1) await LedgerFixture.ShipAllAsync(shipper);
        }
        await RunAsync(spool);
        await LedgerFixture.ShipAllAsync(shipper);

        Assert.Equal(5, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_records"));
        Assert.Equal(5, await _fixture.CountAsync("SELECT SUM(requests) FROM usage_hours"));
        Assert.Equal(long.MaxValue, await _fixture.CountAsync("SELECT MAX(cost_pico_usd) FROM usage_hours"));
        Assert.Equal((4 * Usage.MaxTokens) + 100, await _fixture.CountAsync("SELECT SUM(input_tokens) FROM usage_hours"));
    }

    [Fact]
    public async Task Ship_ConcurrentNodes_SumExactly()
    {
        var nodes = Enumerable.Range(0, 4).Select(_ => _fixture.Spools.Open()).Select(spool => (Spool: spool, Shipper: _fixture.Ship(spool))).ToArray();
        await Task.WhenAll(nodes.Select((node, number) => Task.Run(async () =>
        {
            for (var round = 0; round < 10; round++)
            {
                // The same few hours in another order on every node.
                for (var i = 0; i < 12; i++)
                {
                    var call = RecordedCalls.New(model: $"model {(number % 2 == 0 ? i : 12 - i) % 12}");
                    await node.Spool.AttemptStartedAsync(call, call.Try());
                    await node.Spool.CallEndedAsync(call.End(), 200);
                }
                await LedgerFixture.ShipAllAsync(node.Shipper);
            }
        }, TestContext.Current.CancellationToken)));

        Assert.Equal(480, await _fixture.CountAsync("SELECT COUNT(*) FROM ledger_entries"));
        Assert.Equal(480, await _fixture.CountAsync("SELECT SUM(requests) FROM usage_hours"));
        Assert.Equal(48_000, await _fixture.CountAsync("SELECT SUM(input_tokens) FROM usage_hours"));
        Assert.Equal(4, await _fixture.CountAsync("SELECT COUNT(DISTINCT node) FROM audit_records"));
    }

    [Fact]
    public async Task Ship_FullSegments_AreDeletedAndRunningCallsCarriedOver()
    {
        var spool = _fixture.Spools.Open(segmentBytes: 8 * 1024);
        var shipper = _fixture.Ship(spool);
        var running = RecordedCalls.New();
        var attempt = running.Try();
        await spool.AttemptStartedAsync(running, attempt);
        attempt.Meter.AddOutput(4000);
        spool.AttemptProgressed(running, attempt);
        for (var i = 0; i < 100; i++)
        {
            await RunAsync(spool);
            if (i % 10 == 0) await LedgerFixture.ShipAllAsync(shipper);
        }
        await LedgerFixture.ShipAllAsync(shipper);
        Assert.Single(spool.Folder.Segments());
        Assert.Equal(100, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_records"));

        // The process dies: the call that ran all the while is charged by its checkpoint.
        spool.Dispose();
        await LedgerFixture.ShipAllAsync(_fixture.Ship(_fixture.Spools.Open()));
        Assert.Equal(1, await _fixture.CountAsync($"SELECT COUNT(*) FROM audit_records WHERE id = '{AuditRecordWriter.RecordIdOf(running.GenerationId)}' AND outcome = 'failed'"));
        Assert.Equal(1000, await _fixture.CountAsync($"SELECT output_tokens FROM ledger_entries WHERE attempt_id = '{attempt.Id}' AND basis = 'estimated'"));
    }

    [Fact]
    public async Task Recover_CallsOfDeadProcess_AreRecordedOnceDespiteRepeatedKills()
    {
        var first = _fixture.Spools.Open();
        for (var i = 0; i < 5; i++)
        {
            await RunAsync(first);
            var call = RecordedCalls.New();
            await first.AttemptStartedAsync(call, call.Try());
        }
        first.Dispose();

        foreach (var answers in (int[])[0, 1, 2])
        {
            // Each recovers, and dies before the database knows of it.
            var spool = _fixture.Spools.Open();
            await Assert.ThrowsAsync<SqliteException>(() => LedgerFixture.ShipAllAsync(_fixture.Ship(spool, new FailingStorage(_fixture.Storage, after: answers))));
            spool.Dispose();
        }
        await LedgerFixture.ShipAllAsync(_fixture.Ship(_fixture.Spools.Open()));
        Assert.Equal(10, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_records"));
        Assert.Equal(5, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_records WHERE outcome = 'failed'"));
        Assert.Equal(10, await _fixture.CountAsync("SELECT SUM(requests) FROM usage_hours"));
    }

    [Fact]
    public async Task Recover_FolderOfAnotherNode_IsShippedAndRemoved()
    {
        var first = _fixture.Spools.Open();
        var second = _fixture.Spools.Open();
        await RunAsync(first);
        await RunAsync(second);
        var lost = RecordedCalls.New();
        await second.AttemptStartedAsync(lost, lost.Try());
        first.Dispose();
        second.Dispose();

        var third = _fixture.Spools.Open();
        await LedgerFixture.ShipAllAsync(_fixture.Ship(third));
        Assert.Equal(3, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_records"));
        Assert.Equal(third.Folder.Path, Assert.Single(Directory.GetDirectories(_fixture.Spools.Root)));
    }

    [Fact]
    public async Task Ship_DatabaseUnavailable_KeepsRecordsAndResumesAfterRecovery()
    {
        var spool = _fixture.Spools.Open(segmentBytes: 8 * 1024);
        var away = new FailingStorage(_fixture.Storage, after: 0);
        var time = new ObservedTimeProvider(DateTimeOffset.UnixEpoch.AddYears(60));
        using var shipper = new LedgerShipper(spool, away, time, NullLogger<LedgerShipper>.Instance);
        for (var i = 0; i < 50; i++) await RunAsync(spool);
        await shipper.StartAsync(TestContext.Current.CancellationToken);
        await away.Failed;
        Assert.True(spool.Folder.Segments().Length > 3);

        away.Mend();
        var caughtUp = shipper.CatchUpAsync(TimeSpan.FromDays(40), TestContext.Current.CancellationToken);
        while (!caughtUp.IsCompleted)
        {
            // The database works in real time, so the clock advances only while the shipper waits for it.
            var timer = time.NextTimerAsync(TestContext.Current.CancellationToken).AsTask();
            if (await Task.WhenAny(caughtUp, timer) == timer && await timer is var due && due > TimeSpan.Zero && due < TimeSpan.FromDays(1)) time.Advance(due);
        }
        await caughtUp;
        Assert.Equal(50, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_records"));
        await shipper.StopAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task CatchUp_CallJustEnded_IsInDatabase()
    {
        var spool = _fixture.Spools.Open();
        var shipper = _fixture.Ship(spool);
        await shipper.StartAsync(TestContext.Current.CancellationToken);
        for (var i = 1; i <= 20; i++)
        {
            await RunAsync(spool);
            await shipper.CatchUpAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
            Assert.Equal(i, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_records"));
        }
        await shipper.StopAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Ship_UnreadableRecord_IsSetAsideAndRestIsShipped()
    {
        var spool = _fixture.Spools.Open(segmentBytes: 8 * 1024);
        await RunAsync(spool);
        spool.Append(SpoolRecordType.CallEnded, """{"id":7}"""u8);
        spool.Append(SpoolRecordType.CallEnded, "nonsense"u8);
        spool.Append((SpoolRecordType)99, "{}"u8);
        for (var i = 0; i < 20; i++) await RunAsync(spool);
        await LedgerFixture.ShipAllAsync(_fixture.Ship(spool));
        Assert.Equal(21, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_records"));
        Assert.Single(Directory.GetFiles(spool.Folder.Path, "*.kept"));
    }

    [Theory]
    [InlineData(200)]
    [InlineData(3000)]
    public async Task Kill_WhileWritingSpool_RecoversEveryAcknowledgedRecord(int lines)
    {
        List<string> told;
        using (var writer = new SpoolWriterProcess(_fixture.Spools.Root)) told = await writer.KillAfterAsync(lines, TestContext.Current.CancellationToken);

        await LedgerFixture.ShipAllAsync(_fixture.Ship(_fixture.Spools.Open()));
        var finished = await _fixture.TextsAsync("SELECT 'gen_' || substr(id, 5) FROM audit_records WHERE outcome = 'complete'");
        var lost = await _fixture.TextsAsync("SELECT 'gen_' || substr(id, 5) FROM audit_records WHERE outcome = 'failed'");
        var charged = await _fixture.TextsAsync("SELECT generation_id FROM ledger_entries");
        Assert.All(told, line =>
        {
            var id = line[2..];
            if (line[0] == 'E') Assert.Contains(id, finished);
            else Assert.True(finished.Contains(id) != lost.Contains(id));
            Assert.Contains(id, charged);
        });
        Assert.NotEmpty(lost);
        // A call that was never reported may be stored too, but only the one that the writer was writing.
        Assert.True(finished.Count + lost.Count - told.Count(line => line[0] == 'S') <= 1);
    }

    [Fact]
    public async Task Retention_OldRecords_AreDeletedAndTotalsRemain()
    {
        var spool = _fixture.Spools.Open(segmentBytes: 1024 * 1024);
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero));
        for (var i = 0; i < 10; i++) await RunAsync(spool, time);
        time.Advance(TimeSpan.FromDays(89));
        for (var i = 0; i < 7; i++) await RunAsync(spool, time);
        await LedgerFixture.ShipAllAsync(_fixture.Ship(spool));
        time.Advance(TimeSpan.FromDays(2));

        using var retention = new LedgerRetention(_fixture.Storage, new Fairlead.Tests.Storage.FixedConfiguration(_fixture.Database.DataDirectory), time, NullLogger<LedgerRetention>.Instance);
        Assert.Equal(10, await retention.DeleteAsync(TestContext.Current.CancellationToken));
        Assert.Equal(7, await _fixture.CountAsync("SELECT COUNT(*) FROM audit_records"));
        Assert.Equal(7, await _fixture.CountAsync("SELECT COUNT(*) FROM ledger_entries"));
        Assert.Equal(17, await _fixture.CountAsync("SELECT SUM(requests) FROM usage_hours"));
    }

    private static async Task RunAsync(Spool spool, TimeProvider? time = null)
    {
        var call = RecordedCalls.New(time);
        await spool.AttemptStartedAsync(call, call.Try());
        await spool.CallEndedAsync(call.End(), 200);
    }

    /// <summary>A database that responds a few times and then is unavailable.</summary>
    private sealed class FailingStorage(IStorage inner, int after) : IStorage
    {
        private readonly TaskCompletionSource _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _left = after;

        public SqlFlavour Sql => inner.Sql;

        public IDatabaseNotifier Notifier => inner.Notifier;

        public Task Failed => _failed.Task;

        public void Mend() => Volatile.Write(ref _left, int.MaxValue);

        public Task EnsureReadyAsync(CancellationToken cancellationToken) => inner.EnsureReadyAsync(cancellationToken);

        public ValueTask<DbConnection> OpenAsync(CancellationToken cancellationToken)
        {
            if (Interlocked.Decrement(ref _left) >= 0) return inner.OpenAsync(cancellationToken);
            _failed.TrySetResult();
            throw new SqliteException("The database is away.", 14);
        }
    }
}
