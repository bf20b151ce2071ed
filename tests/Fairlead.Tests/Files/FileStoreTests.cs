using Fairlead.Files;
using Fairlead.Storage;
using Fairlead.Tests.Storage;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Files;

public sealed class SqliteFileStoreTests() : FileStoreTests(StorageProvider.Sqlite);

public sealed class PostgresFileStoreTests() : FileStoreTests(StorageProvider.Postgres);

public abstract class FileStoreTests : IDisposable
{
    private static readonly DateTimeOffset Start = new(2026, 11, 24, 12, 0, 0, TimeSpan.Zero);

    private readonly TemporaryStorage _temporary;
    private readonly FakeTimeProvider _time = new(Start);
    private readonly IStorage _storage;
    private readonly FileStore _store;
    private readonly DatabaseFileContents _contents;
    private readonly FileSweeper _sweeper;

    private protected FileStoreTests(StorageProvider provider)
    {
        _temporary = new TemporaryStorage(provider);
        _storage = _temporary.Open(new FileSchema());
        _store = new FileStore(_storage, _time);
        _contents = new DatabaseFileContents(_storage);
        _sweeper = new FileSweeper(_store, _contents, _time, NullLogger<FileSweeper>.Instance);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _sweeper.Dispose();
        _temporary.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Find_UploadedFile_ReturnsItOnlyWhenCompleteAndInOwnProject()
    {
        var file = File("file-1");
        Assert.True(await _store.BeginAsync(file, 0, null, Cancel));
        Assert.Null(await _store.FindAsync("proj_1", file.Id, Cancel));
        Assert.True(await _store.CompleteAsync(file, null, Cancel));
        Assert.Equal(file, await _store.FindAsync("proj_1", file.Id, Cancel));
        Assert.Null(await _store.FindAsync("proj_2", file.Id, Cancel));
        Assert.Null(await _store.FindAsync("proj_1", "file-\0'", Cancel));
        await Assert.ThrowsAsync<StorageException>(() => _store.CompleteAsync(file, null, Cancel));
    }

    [Fact]
    public async Task List_FilesByPurpose_PaginatesInBothOrders()
    {
        foreach (var number in (int[])[1, 2, 3]) await AddAsync(File($"file-{number}") with { Purpose = number == 2 ? "vision" : "batch" });
        await AddAsync(File("file-9") with { ProjectId = "proj_2" });
        Assert.Equal(["file-3", "file-2", "file-1"], (await _store.ListAsync("proj_1", null, null, true, 10, Cancel)).Select(file => file.Id));
        Assert.Equal(["file-2", "file-1"], (await _store.ListAsync("proj_1", null, "file-3", true, 10, Cancel)).Select(file => file.Id));
        Assert.Equal(["file-2"], (await _store.ListAsync("proj_1", null, "file-1", false, 1, Cancel)).Select(file => file.Id));
        Assert.Equal(["file-3", "file-1"], (await _store.ListAsync("proj_1", "batch", null, true, 10, Cancel)).Select(file => file.Id));
        Assert.Equal(30, await _store.BytesOfAsync("proj_1", Cancel));
    }

    [Fact]
    public async Task Sweep_ExpiredAndDeletedFiles_AreTheOnlyOnesRemoved()
    {
        await AddAsync(File("file-1"));
        await AddAsync(File("file-2"));
        await AddAsync(File("file-3") with { ExpiresAt = Start.AddHours(2) });
        Assert.True(await _store.DeleteAsync("proj_1", "file-2", Cancel));
        Assert.Null(await _store.DeleteAsync("proj_1", "file-2", Cancel));
        await _sweeper.SweepAsync(Cancel);
        Assert.Equal(["file-1", "file-3"], await ContentsAsync());
        _time.Advance(TimeSpan.FromHours(2));
        Assert.Null(await _store.FindAsync("proj_1", "file-3", Cancel));
        await _sweeper.SweepAsync(Cancel);
        Assert.Equal(["file-1"], await ContentsAsync());
    }

    [Fact]
    public async Task Sweep_DeletedFileInUse_StaysUntilReleased()
    {
        await AddAsync(File("file-1"));
        await InTransactionAsync(connection => _store.HoldAsync(connection, "proj_1", "file-1", Cancel));
        Assert.False(await _store.DeleteAsync("proj_1", "file-1", Cancel));
        Assert.Equal(10, await _store.BytesOfAsync("proj_1", Cancel));
        await _sweeper.SweepAsync(Cancel);
        Assert.Equal(["file-1"], await ContentsAsync());
        Assert.False(await InTransactionAsync(connection => _store.HoldAsync(connection, "proj_1", "file-1", Cancel)));
        await InTransactionAsync(async connection =>
        {
            await FileStore.LetGoAsync(connection, "file-1", Cancel);
            return true;
        });
        await _sweeper.SweepAsync(Cancel);
        Assert.Empty(await ContentsAsync());
    }

    [Fact]
    public async Task Sweep_UploadOfDeadProcess_FreesQuotaAfterLeaseExpires()
    {
        Assert.True(await _store.BeginAsync(File("file-1"), 60, 100, Cancel));
        await WriteAsync("file-1");
        _time.Advance(FileStore.WritingLease - TimeSpan.FromMilliseconds(1));
        await _sweeper.SweepAsync(Cancel);
        Assert.Equal(["file-1"], await ContentsAsync());
        Assert.False(await _store.BeginAsync(File("file-2"), 50, 100, Cancel));
        _time.Advance(TimeSpan.FromMilliseconds(1));
        await _sweeper.SweepAsync(Cancel);
        Assert.Empty(await ContentsAsync());
        Assert.True(await _store.BeginAsync(File("file-2"), 50, 100, Cancel));
        await Assert.ThrowsAsync<StorageException>(() => _store.GrowAsync(File("file-1"), 10, 10, 100, Cancel));
    }

    [Fact]
    public async Task Reservation_UploadInProgress_KeepsLease()
    {
        var room = new FileReservation(_store, File("file-1"), 1000, null, _time);
        Assert.True(await room.BeginAsync(10, Cancel));
        for (var i = 0; i < 10; i++)
        {
            _time.Advance(FileStore.WritingLease / 2);
            Assert.True(await room.EnsureAsync(10, Cancel));
            await _sweeper.SweepAsync(Cancel);
        }
        Assert.True(await _store.CompleteAsync(File("file-1"), 1000, Cancel));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Reservation_ConcurrentUploads_NeverExceedQuota(bool isLengthKnown)
    {
        const long Quota = 1024 * 1024;
        const long Length = 1000 * 1000;
        var kept = 0L;
        await Parallel.ForAsync(0, 20, Cancel, async (i, cancel) =>
        {
            var file = File($"file-{i}") with { Bytes = Length };
            var room = new FileReservation(_store, file, Quota, isLengthKnown ? Length + 300 : null, _time);
            if (!await room.BeginAsync(isLengthKnown ? Length - 65_536 : 0, cancel)) return;
            for (var written = 0L; written < Length; written += 50_000)
            {
                Assert.InRange(await _store.BytesOfAsync("proj_1", cancel), 0, Quota);
                if (await room.EnsureAsync(written + 50_000, cancel)) continue;
                await _store.ForgetAsync(file.Id, cancel);
                return;
            }
            if (await _store.CompleteAsync(file, Quota, cancel)) Interlocked.Add(ref kept, Length);
        });
        // Exactly one file is stored. A refused upload releases its space to the others, and the last one gets all of it.
        Assert.Equal(Length, kept);
        Assert.Equal(kept, await _store.BytesOfAsync("proj_1", Cancel));
        // What was refused left room for others.
        var last = new FileReservation(_store, File("file-last"), Quota, null, _time);
        Assert.True(await last.BeginAsync(Quota - kept, Cancel));
        Assert.False(await last.EnsureAsync(Quota - kept + 1, Cancel));
    }

    [Fact]
    public async Task Grow_QuotaExceeded_ReleasesReservationImmediately()
    {
        Assert.True(await _store.BeginAsync(File("file-1"), 0, 100, Cancel));
        Assert.True(await _store.BeginAsync(File("file-2"), 0, 100, Cancel));
        Assert.Equal(60, await _store.GrowAsync(File("file-1"), 60, 60, 100, Cancel));
        Assert.Equal(40, await _store.GrowAsync(File("file-2"), 40, 40, 100, Cancel));
        Assert.Equal(-1, await _store.GrowAsync(File("file-1"), 70, 70, 100, Cancel));
        Assert.Equal(100, await _store.GrowAsync(File("file-2"), 100, 100, 100, Cancel));
    }

    [Fact]
    public async Task Complete_QuotaReducedMeanwhile_IsRefused()
    {
        await AddAsync(File("file-1"));
        Assert.True(await _store.BeginAsync(File("file-2"), 10, 20, Cancel));
        Assert.False(await _store.CompleteAsync(File("file-2"), 19, Cancel));
        Assert.Null(await _store.FindAsync("proj_1", "file-2", Cancel));
        Assert.True(await _store.CompleteAsync(File("file-2"), 20, Cancel));
        // Others have a quota of their own.
        Assert.True(await _store.BeginAsync(File("file-3") with { ProjectId = "proj_2" }, 20, 20, Cancel));
    }

    [Fact]
    public async Task Bytes_ExpiredOrHeldFiles_CountUntilRemoved()
    {
        await AddAsync(File("file-1"));
        await AddAsync(File("file-2"));
        await InTransactionAsync(connection => _store.HoldAsync(connection, "proj_1", "file-1", Cancel));
        _time.Advance(TimeSpan.FromDays(1));
        Assert.Empty(await _store.ListAsync("proj_1", null, null, true, 10, Cancel));
        Assert.Equal(20, await _store.BytesOfAsync("proj_1", Cancel));
        await _sweeper.SweepAsync(Cancel);
        Assert.Equal(10, await _store.BytesOfAsync("proj_1", Cancel));
        Assert.False(await _store.BeginAsync(File("file-3"), 11, 20, Cancel));
    }

    private static StoredFile File(string id) => new()
    {
        Id = id,
        OrganizationId = "org_1",
        ProjectId = "proj_1",
        FileName = "tïdes.jsonl",
        Purpose = "batch",
        Bytes = 10,
        CreatedAt = Start,
        ExpiresAt = Start.AddDays(1),
    };

    private async Task AddAsync(StoredFile file)
    {
        await _store.BeginAsync(file, 0, null, Cancel);
        await WriteAsync(file.Id);
        await _store.CompleteAsync(file, null, Cancel);
    }

    private async Task WriteAsync(string id)
    {
        await using var sink = _contents.Create(id);
        await sink.WriteAsync("0123456789"u8.ToArray(), Cancel);
        await sink.CompleteAsync(Cancel);
    }

    private async Task<bool> InTransactionAsync(Func<System.Data.Common.DbConnection, Task<bool>> work)
    {
        await using var connection = await _storage.OpenAsync(Cancel);
        await using var transaction = await _storage.Sql.BeginWriteAsync(connection, Cancel);
        var done = await work(connection);
        await transaction.CommitAsync(Cancel);
        return done;
    }

    private async Task<IReadOnlyList<string>> ContentsAsync()
    {
        await using var connection = await _storage.OpenAsync(Cancel);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT file_id FROM file_chunks ORDER BY file_id";
        var ids = new List<string>();
        await using var reader = await command.ExecuteReaderAsync(Cancel);
        while (await reader.ReadAsync(Cancel)) ids.Add(reader.GetString(0));
        return ids;
    }
}
