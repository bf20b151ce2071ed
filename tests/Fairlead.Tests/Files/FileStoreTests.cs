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
    public async Task Find_OnlyWhenComplete_AndOnlyInItsProject()
    {
        var file = File("file-1");
        await _store.BeginAsync(file, Cancel);
        Assert.Null(await _store.FindAsync("proj_1", file.Id, Cancel));
        await _store.CompleteAsync(file, Cancel);
        Assert.Equal(file, await _store.FindAsync("proj_1", file.Id, Cancel));
        Assert.Null(await _store.FindAsync("proj_2", file.Id, Cancel));
        Assert.Null(await _store.FindAsync("proj_1", "file-\0'", Cancel));
        await Assert.ThrowsAsync<StorageException>(() => _store.CompleteAsync(file, Cancel));
    }

    [Fact]
    public async Task List_PagesInBothOrders_ByPurpose()
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
    public async Task Sweep_TakesWhatExpiredOrWasDeleted_AndNothingElse()
    {
        await AddAsync(File("file-1"));
        await AddAsync(File("file-2"));
        await AddAsync(File("file-3") with { ExpiresAt = Start.AddHours(2) });
        Assert.True(await _store.DeleteAsync("proj_1", "file-2", Cancel));
        Assert.False(await _store.DeleteAsync("proj_1", "file-2", Cancel));
        await _sweeper.SweepAsync(Cancel);
        Assert.Equal(["file-1", "file-3"], await ContentsAsync());
        _time.Advance(TimeSpan.FromHours(2));
        Assert.Null(await _store.FindAsync("proj_1", "file-3", Cancel));
        await _sweeper.SweepAsync(Cancel);
        Assert.Equal(["file-1"], await ContentsAsync());
    }

    [Fact]
    public async Task Sweep_AFileThatIsHeld_StaysUntilItIsLetGo()
    {
        await AddAsync(File("file-1"));
        await InTransactionAsync((connection, transaction) => _store.HoldAsync(connection, transaction, "proj_1", "file-1", Cancel));
        Assert.True(await _store.DeleteAsync("proj_1", "file-1", Cancel));
        await _sweeper.SweepAsync(Cancel);
        Assert.Equal(["file-1"], await ContentsAsync());
        Assert.False(await InTransactionAsync((connection, transaction) => _store.HoldAsync(connection, transaction, "proj_1", "file-1", Cancel)));
        await InTransactionAsync(async (connection, transaction) =>
        {
            await FileStore.LetGoAsync(connection, transaction, "file-1", Cancel);
            return true;
        });
        await _sweeper.SweepAsync(Cancel);
        Assert.Empty(await ContentsAsync());
    }

    [Fact]
    public async Task Sweep_AnUploadThatNeverEnded_GoesAfterADay()
    {
        await _store.BeginAsync(File("file-1"), Cancel);
        await WriteAsync("file-1");
        _time.Advance(TimeSpan.FromHours(23));
        await _sweeper.SweepAsync(Cancel);
        Assert.Equal(["file-1"], await ContentsAsync());
        _time.Advance(TimeSpan.FromHours(1));
        await _sweeper.SweepAsync(Cancel);
        Assert.Empty(await ContentsAsync());
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
        await _store.BeginAsync(file, Cancel);
        await WriteAsync(file.Id);
        await _store.CompleteAsync(file, Cancel);
    }

    private async Task WriteAsync(string id)
    {
        await using var sink = _contents.Create(id);
        await sink.WriteAsync("0123456789"u8.ToArray(), Cancel);
        await sink.CompleteAsync(Cancel);
    }

    private async Task<bool> InTransactionAsync(Func<System.Data.Common.DbConnection, System.Data.Common.DbTransaction, Task<bool>> work)
    {
        await using var connection = await _storage.OpenAsync(Cancel);
        await using var transaction = await _storage.Sql.BeginWriteAsync(connection, Cancel);
        var done = await work(connection, transaction);
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
