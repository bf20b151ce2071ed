using CsCheck;
using Fairlead.Files;
using Fairlead.Storage;
using Fairlead.Tests.Storage;

namespace Fairlead.Tests.Files;

public sealed class DiskFileContentsTests() : FileContentsTests(StorageProvider.Sqlite, onDisk: true);

public sealed class SqliteFileContentsTests() : FileContentsTests(StorageProvider.Sqlite, onDisk: false);

public sealed class PostgresFileContentsTests() : FileContentsTests(StorageProvider.Postgres, onDisk: false);

/// <summary>What every place for contents must do.</summary>
public abstract class FileContentsTests : IDisposable
{
    // Small, so that every test has several chunks.
    private const int ChunkBytes = 16;

    private readonly TemporaryStorage _temporary;
    private readonly IFileContents _contents;

    private protected FileContentsTests(StorageProvider provider, bool onDisk)
    {
        _temporary = new TemporaryStorage(provider);
        _contents = onDisk ? new DiskFileContents(_temporary.Configuration) : new DatabaseFileContents(_temporary.Open(new FileSchema()), ChunkBytes);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _temporary.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Open_AnyContent_ReadsBackFromAnyOffset()
    {
        var cases = Gen.Select(Gen.Byte.Array[0, 100].Array[0, 5], Gen.Int[0, 120]);
        var number = 0;
        await cases.SampleAsync(async input =>
        {
            var (pieces, from) = input;
            var id = $"file-{Interlocked.Increment(ref number)}";
            await WriteAsync(id, pieces);
            var whole = pieces.SelectMany(piece => piece).ToArray();
            if (whole.Length == 0) return true;
            return (await ReadAsync(id, from)).AsSpan().SequenceEqual(whole.AsSpan(Math.Min(from, whole.Length)));
        }, iter: 30, threads: 1);
    }

    [Fact]
    public async Task Overwrite_AnyPart_ChangesOnlyThat()
    {
        var cases = Gen.Select(Gen.Byte.Array[1, 100], Gen.Int[0, 99], Gen.Byte.Array[0, 100]);
        var number = 0;
        await cases.SampleAsync(async input =>
        {
            var (whole, where, part) = input;
            var offset = where % whole.Length;
            part = part[..Math.Min(part.Length, whole.Length - offset)];
            var id = $"file-over-{Interlocked.Increment(ref number)}";
            await WriteAsync(id, [whole]);
            // Twice, as after a lost commit.
            await _contents.OverwriteAsync(id, offset, part, Cancel);
            await _contents.OverwriteAsync(id, offset, part, Cancel);
            part.CopyTo(whole, offset);
            return (await ReadAsync(id, 0)).AsSpan().SequenceEqual(whole);
        }, iter: 30, threads: 1);
        await Assert.ThrowsAnyAsync<IOException>(() => _contents.OverwriteAsync("file-none", 0, new byte[1], Cancel));
    }

    [Theory]
    [InlineData(ChunkBytes)]
    [InlineData(ChunkBytes * 2)]
    [InlineData((ChunkBytes * 2) + 1)]
    public async Task Open_ContentAtChunkBoundaries_IsComplete(int length)
    {
        var bytes = Enumerable.Range(0, length).Select(i => (byte)i).ToArray();
        await WriteAsync("file-1", [bytes]);
        Assert.Equal(bytes, await ReadAsync("file-1", 0));
        Assert.Equal(bytes[^1..], await ReadAsync("file-1", length - 1));
        Assert.Empty(await ReadAsync("file-1", length));
    }

    [Fact]
    public async Task Open_DeletedOrMissingFile_ThrowsFileNotFound()
    {
        await _contents.DeleteAsync("file-1", Cancel);
        await Assert.ThrowsAsync<FileNotFoundException>(() => ReadAsync("file-1", 0));
        await WriteAsync("file-1", ["abc"u8.ToArray()]);
        await _contents.DeleteAsync("file-1", Cancel);
        await Assert.ThrowsAsync<FileNotFoundException>(() => ReadAsync("file-1", 0));
    }

    private async Task WriteAsync(string id, byte[][] pieces)
    {
        await using var sink = _contents.Create(id);
        foreach (var piece in pieces) await sink.WriteAsync(piece, Cancel);
        Assert.Equal(pieces.Sum(piece => (long)piece.Length), sink.Length);
        await sink.CompleteAsync(Cancel);
    }

    private async Task<byte[]> ReadAsync(string id, long from)
    {
        await using var stream = _contents.Open(id, from);
        using var whole = new MemoryStream();
        await stream.CopyToAsync(whole, Cancel);
        return whole.ToArray();
    }
}
