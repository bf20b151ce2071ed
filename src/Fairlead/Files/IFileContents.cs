namespace Fairlead.Files;

/// <summary>Where the bytes of files are. Thread-safe.</summary>
internal interface IFileContents
{
    /// <summary>Begins the content of a new file. What was not completed is found by nobody, and goes by <see cref="DeleteAsync"/>.</summary>
    /// <param name="id">Id of a file whose row is there.</param>
    FileSink Create(string id);

    /// <summary>Reads the content of a completed file once, forwards; dispose it.</summary>
    /// <param name="id">The file.</param>
    /// <param name="from">Bytes that are left out at its beginning.</param>
    /// <exception cref="FileNotFoundException">There is none; by the first read at the latest.</exception>
    Stream Open(string id, long from = 0);

    /// <summary>Removes it, if there is any.</summary>
    Task DeleteAsync(string id, CancellationToken cancellationToken);
}

/// <summary>Takes the content of one file. Not thread-safe.</summary>
internal abstract class FileSink : IAsyncDisposable
{
    /// <summary>Bytes taken so far.</summary>
    public long Length { get; private set; }

    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        await AppendAsync(bytes, cancellationToken);
        Length += bytes.Length;
    }

    /// <summary>Returns when all of it survives the death of the process and, beside SQLite, of the machine.</summary>
    public abstract Task CompleteAsync(CancellationToken cancellationToken);

    public abstract ValueTask DisposeAsync();

    protected abstract ValueTask AppendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken);
}
