using System.Data.Common;
using Fairlead.Auditing;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Spooling;
using Fairlead.Storage;
using Fairlead.Tests.Auditing.Spooling;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Fairlead.Tests.Auditing.Ledger;

/// <summary>
/// With the durability <c>fsync</c>, a segment is the only copy of its calls on the disk until the database has flushed its log.
/// </summary>
public sealed class LedgerSyncTests : IDisposable
{
    private readonly LedgerFixture _fixture = new(StorageProvider.Sqlite);

    public void Dispose() => _fixture.Dispose();

    [Fact]
    public async Task Ship_Fsync_EachSegmentIsDiscardedAfterAFlushOfTheDatabase()
    {
        var spool = _fixture.Spools.Open(segmentBytes: 8 * 1024, AuditDurability.Fsync);
        await FillAsync(spool, segments: 3);
        var storage = new TracingStorage(_fixture.Storage, spool.Folder);
        await LedgerFixture.ShipAllAsync(_fixture.Ship(spool, storage));

        Assert.Single(spool.Folder.Segments());
        Assert.Equal([4, 3, 2], storage.Commits.Where(commit => commit.Synchronous == "FULL").Select(commit => commit.Segments));
        // Every batch of a segment is committed before the flush that precedes its removal.
        var segments = storage.Commits.ConvertAll(commit => commit.Segments);
        Assert.Equal(segments.OrderDescending(), segments);
        foreach (var group in storage.Commits.Where(commit => commit.Segments > 1).GroupBy(commit => commit.Segments))
            Assert.Equal("FULL", group.Last().Synchronous);
    }

    [Fact]
    public async Task Ship_FsyncAfterARestart_EarlierSegmentsAreDiscardedAfterAFlushOfTheDatabase()
    {
        var first = _fixture.Spools.Open(segmentBytes: 8 * 1024, AuditDurability.Fsync);
        await FillAsync(first, segments: 2);
        first.Dispose();
        var second = _fixture.Spools.Open(segmentBytes: 8 * 1024, AuditDurability.Fsync);
        var storage = new TracingStorage(_fixture.Storage, second.Folder);
        await LedgerFixture.ShipAllAsync(_fixture.Ship(second, storage));

        Assert.Single(second.Folder.Segments());
        Assert.Equal([4], storage.Commits.Where(commit => commit.Synchronous == "FULL").Select(commit => commit.Segments));
    }

    [Fact]
    public async Task Ship_DefaultDurability_CommitsOnlyBatches()
    {
        var spool = _fixture.Spools.Open(segmentBytes: 8 * 1024);
        await FillAsync(spool, segments: 3);
        var storage = new TracingStorage(_fixture.Storage, spool.Folder);
        await LedgerFixture.ShipAllAsync(_fixture.Ship(spool, storage));

        Assert.Single(spool.Folder.Segments());
        Assert.NotEmpty(storage.Commits);
        Assert.All(storage.Commits, commit => Assert.Equal("NORMAL", commit.Synchronous));
    }

    /// <summary>A commit without a changed page does not flush the log.</summary>
    [Fact]
    public async Task Sync_NothingChanged_WritesToTheLogOfTheDatabase()
    {
        await using var connection = await _fixture.Storage.OpenAsync(TestContext.Current.CancellationToken);
        await _fixture.ExecuteAsync("INSERT INTO spool_positions (node, segment, at_byte) VALUES ('a', 1, 2)");
        var log = new FileInfo(((SqliteConnection)connection).DataSource + "-wal");
        for (var i = 0; i < 3; i++)
        {
            log.Refresh();
            var before = log.Length;
            await LedgerWriter.SyncAsync(_fixture.Storage, TestContext.Current.CancellationToken);
            log.Refresh();
            Assert.True(log.Length > before);
        }
        Assert.Equal(1, await _fixture.CountAsync("SELECT COUNT(*) FROM spool_positions"));
    }

    private static async Task FillAsync(Spool spool, int segments)
    {
        while (spool.End.Segment < spool.FirstSegment + segments)
        {
            var call = RecordedCalls.New();
            await spool.AttemptStartedAsync(call, call.Try());
            await spool.CallEndedAsync(call.End(), 200);
        }
    }

    /// <summary>Notes each commit: the setting it was made with, and how many segments the spool had then.</summary>
    private sealed class TracingStorage(IStorage inner, SpoolFolder folder) : IStorage
    {
        private const string Setting = "PRAGMA synchronous = ";

        public List<(string Synchronous, int Segments)> Commits { get; } = [];

        public SqlFlavour Sql => inner.Sql;

        public IDatabaseNotifier Notifier => inner.Notifier;

        public Task EnsureReadyAsync(CancellationToken cancellationToken) => inner.EnsureReadyAsync(cancellationToken);

        public async ValueTask<DbConnection> OpenAsync(CancellationToken cancellationToken)
        {
            var connection = (SqliteConnection)await inner.OpenAsync(cancellationToken);
            var synchronous = "";
            raw.sqlite3_trace(connection.Handle, (_, sql) =>
            {
                if (sql.StartsWith(Setting, StringComparison.Ordinal)) synchronous = sql[Setting.Length..].TrimEnd(';');
                else if (sql.StartsWith("COMMIT", StringComparison.Ordinal)) Commits.Add((synchronous, folder.Segments().Length));
            }, null);
            return connection;
        }
    }
}
