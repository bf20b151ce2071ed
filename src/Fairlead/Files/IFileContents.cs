namespace Fairlead.Files;

/// <summary>Storage for the bytes of files. Thread-safe.</summary>
internal interface IFileContents
{
    /// <summary>
    /// Starts the content of a new file. Content that was not completed cannot be found, and is removed by <see cref="DeleteAsync"/>.
    /// </summary>
    /// <param name="id">Id of a file whose row exists.</param>
    FileSink Create(string id);

    /// <summary>Reads the content of a completed file once, forwards; dispose it.</summary>
    /// <param name="id">The file.</param>
    /// <param name="from">Bytes to skip at its start.</param>
    /// <exception cref="FileNotFoundException">It does not exist; thrown by the first read at the latest.</exception>
    Stream Open(string id, long from = 0);

    /// <summary>Overwrites bytes of a completed file, whose length stays the same. Repeatable.</summary>
    /// <param name="id">The file.</param>
    /// <param name="offset">Where the bytes go.</param>
    /// <param name="bytes">They end before the file does.</param>
    /// <param name="cancellationToken">Stops it before it happens.</param>
    /// <exception cref="FileNotFoundException">It does not exist.</exception>
    Task OverwriteAsync(string id, long offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken);

    /// <summary>Removes it, if it exists.</summary>
    Task DeleteAsync(string id, CancellationToken cancellationToken);
}

/// <summary>Writes the content of one file. Not thread-safe.</summary>
internal abstract class FileSink : IAsyncDisposable
{
    /// <summary>Bytes written so far.</summary>
    public long Length { get; private set; }

    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        await AppendAsync(bytes, cancellationToken);
        Length += bytes.Length;
    }

    /// <summary>Returns when all of it survives a crash of the process and, with SQLite, of the machine.</summary>
    public abstract Task CompleteAsync(CancellationToken cancellationToken);

    public abstract ValueTask DisposeAsync();

    protected abstract ValueTask AppendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken);
}
