using Fairlead.Storage;

namespace Fairlead.Tests.Storage;

public sealed class SqliteStorageTests : IDisposable
{
    private readonly TemporaryStorage _temporary = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task EnsureReady_NewDirectory_IsReadableByItsOwnerOnly()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows keeps rights in lists of its own.");
        await _temporary.Open().EnsureReadyAsync(Cancellation);
        if (OperatingSystem.IsWindows()) return;

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_temporary.DataDirectory));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(_temporary.DataDirectory, "fairlead.db")));
    }

    [Fact]
    public async Task EnsureReady_PlaceThatCannotBeUsed_NamesItAndTheRemedy()
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
    public async Task EnsureReady_FileThatIsNoDatabase_SaysSo()
    {
        Directory.CreateDirectory(_temporary.DataDirectory);
        await File.WriteAllTextAsync(Path.Combine(_temporary.DataDirectory, "fairlead.db"), new string('x', 5000), Cancellation);
        await Assert.ThrowsAsync<StorageException>(() => _temporary.Open().EnsureReadyAsync(Cancellation));
    }

    [Fact]
    public async Task Open_Connection_IsInWriteAheadModeWithForeignKeys()
    {
        await using var connection = await _temporary.Open().OpenAsync(Cancellation);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT (SELECT journal_mode FROM pragma_journal_mode) || ' ' || (SELECT foreign_keys FROM pragma_foreign_keys)";
        Assert.Equal("wal 1", await command.ExecuteScalarAsync(Cancellation));
    }

    public void Dispose() => _temporary.Dispose();
}
