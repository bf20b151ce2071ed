using Fairlead.Configuration;

namespace Fairlead.Files;

/// <summary>
/// Contents in <c>files/</c> of the data directory, one file each. Used with SQLite, whose database belongs to this node alone.
/// </summary>
internal sealed class DiskFileContents(IConfigurationSource configuration) : IFileContents
{
    private const int BufferBytes = 64 * 1024;

    // The directory at start, as for the database: a reload that names another one takes effect at the next start.
    private readonly string _folder = Path.Combine(Path.GetFullPath(configuration.Current.DataDirectory), "files");

    public FileSink Create(string id)
    {
        var path = PathOf(id);
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(_folder);
        else Directory.CreateDirectory(_folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None,
            BufferSize = BufferBytes, Options = FileOptions.Asynchronous };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return new Sink(new FileStream(path, options));
    }

    public Stream Open(string id, long from = 0)
    {
        try
        {
            var file = new FileStream(PathOf(id),
                new FileStreamOptions { BufferSize = BufferBytes, Options = FileOptions.Asynchronous | FileOptions.SequentialScan,
                Share = FileShare.ReadWrite | FileShare.Delete });
            file.Position = from;
            return file;
        }
        catch (DirectoryNotFoundException missing)
        {
            throw new FileNotFoundException($"The content of {id} does not exist.", missing);
        }
    }

    public async Task OverwriteAsync(string id, long offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        var options = new FileStreamOptions
        {
            Mode = FileMode.Open, Access = FileAccess.Write, Share = FileShare.ReadWrite | FileShare.Delete, Options = FileOptions.Asynchronous,
        };
        await using var file = new FileStream(PathOf(id), options);
        file.Position = offset;
        await file.WriteAsync(bytes, cancellationToken);
        await file.FlushAsync(cancellationToken);
        file.Flush(flushToDisk: true);
    }

    public Task DeleteAsync(string id, CancellationToken cancellationToken)
    {
        try
        {
            File.Delete(PathOf(id));
        }
        catch (DirectoryNotFoundException)
        {
            // Nothing was ever written.
        }
        return Task.CompletedTask;
    }

    // Ids are generated here: a prefix, letters and digits.
    private string PathOf(string id) => Path.Combine(_folder, id);

    private sealed class Sink(FileStream file) : FileSink
    {
        public override async Task CompleteAsync(CancellationToken cancellationToken)
        {
            await file.FlushAsync(cancellationToken);
            file.Flush(flushToDisk: true);
            // From now on the file may be read.
            await file.DisposeAsync();
        }

        public override ValueTask DisposeAsync() => file.DisposeAsync();

        protected override ValueTask AppendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken) =>
            file.WriteAsync(bytes, cancellationToken);
    }
}
