using System.Threading.Channels;
using Fairlead.Conversation;
using Fairlead.Storage;

namespace Fairlead.Tests.Storage;

public sealed class SqliteStorageTests : IDisposable
{
    private readonly TemporaryStorage _temporary = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task EnsureReady_NewDirectory_IsAccessibleToOwnerOnly()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows keeps rights in lists of its own.");
        await _temporary.Open().EnsureReadyAsync(Cancellation);
        if (OperatingSystem.IsWindows()) return;

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_temporary.DataDirectory));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(_temporary.DataDirectory, "fairlead.db")));
    }

    [Fact]
    public async Task EnsureReady_UnusableDataDirectory_NamesPathAndRemedy()
    {
        await File.WriteAllTextAsync(_temporary.DataDirectory, "a file where the folder should be", Cancellation);
        try
        {
            var fault = await Assert.ThrowsAsync<StorageException>(() => _temporary.Open().EnsureReadyAsync(Cancellation));
            Assert.Contains(_temporary.DataDirectory, fault.Message, StringComparison.Ordinal);
            Assert.Contains("FAIRLEAD_DATA", fault.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(_temporary.DataDirectory);
        }
    }

    [Fact]
    public async Task EnsureReady_FileNotADatabase_Throws()
    {
        Directory.CreateDirectory(_temporary.DataDirectory);
        await File.WriteAllTextAsync(Path.Combine(_temporary.DataDirectory, "fairlead.db"), new string('x', 5000), Cancellation);
        await Assert.ThrowsAsync<StorageException>(() => _temporary.Open().EnsureReadyAsync(Cancellation));
    }

    [Fact]
    public async Task Open_Connection_UsesWalModeAndForeignKeys()
    {
        await using var connection = await _temporary.Open().OpenAsync(Cancellation);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT (SELECT journal_mode FROM pragma_journal_mode) || ' ' || (SELECT foreign_keys FROM pragma_foreign_keys)";
        Assert.Equal("wal 1", await command.ExecuteScalarAsync(Cancellation));
    }

    [Fact]
    public async Task BeginWrite_DatabaseLocked_OnlyFirstWriterBlocksThread()
    {
        const int Writers = 8;
        var storage = _temporary.Open();
        await using var holding = await storage.OpenAsync(Cancellation);
        await using var held = await storage.Sql.BeginWriteAsync(holding, Cancellation);
        var returned = Channel.CreateUnbounded<bool>();
        var writers = new Task[Writers];
        for (var i = 0; i < Writers; i++)
        {
            var connection = await storage.OpenAsync(Cancellation);
            writers[i] = Task.Factory.StartNew(
                async () =>
                {
                    await using var mine = connection;
                    var begins = storage.Sql.BeginWriteAsync(mine, Cancellation);
                    returned.Writer.TryWrite(begins.IsCompleted);
                    await using var transaction = await begins;
                    await transaction.CommitAsync(Cancellation);
                },
                Cancellation,
                TaskCreationOptions.LongRunning,
                TaskScheduler.Default).Unwrap();
        }
        for (var i = 0; i < Writers - 1; i++) Assert.False(await returned.Reader.ReadAsync(Cancellation), "A writer blocked its thread until it failed or had the lock.");

        await held.CommitAsync(Cancellation);
        await Task.WhenAll(writers);
    }

    [Fact]
    public async Task BeginWrite_WaitingWriterCancelled_DoesNotTakeTurn()
    {
        var storage = _temporary.Open();
        await using var holding = await storage.OpenAsync(Cancellation);
        await using var held = await storage.Sql.BeginWriteAsync(holding, Cancellation);
        await using var first = await storage.OpenAsync(Cancellation);
        await using var second = await storage.OpenAsync(Cancellation);
        // One of the two takes the turn and blocks its thread, so each starts on a separate thread.
        using var cancelled = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        var one = Task.Run(() => storage.Sql.BeginWriteAsync(first, Cancellation).AsTask(), Cancellation);
        var other = Task.Run(() => storage.Sql.BeginWriteAsync(second, cancelled.Token).AsTask(), Cancellation);
        await cancelled.CancelAsync();
        await held.CommitAsync(Cancellation);
        await using (await one)
        {
            // Ends the transaction.
        }
        try
        {
            await using var late = await other;
        }
        catch (OperationCanceledException)
        {
            // The write had not started.
        }
        await using var third = await storage.OpenAsync(Cancellation);
        await using var after = await storage.Sql.BeginWriteAsync(third, Cancellation);
        await after.CommitAsync(Cancellation);
    }

    public void Dispose() => _temporary.Dispose();
}
