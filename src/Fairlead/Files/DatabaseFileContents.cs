using Fairlead.Storage;

namespace Fairlead.Files;

/// <summary>Contents as rows of equal chunks, for nodes that share a database: each of them finds every file.</summary>
/// <param name="storage">The database.</param>
/// <param name="chunkBytes">Length of all chunks except the last one of a file. It must never change for a database.</param>
internal sealed class DatabaseFileContents(IStorage storage, int chunkBytes = DatabaseFileContents.ChunkBytes) : IFileContents
{
    public const int ChunkBytes = 256 * 1024;

    public FileSink Create(string id) => new Sink(storage, id, chunkBytes);

    public Stream Open(string id, long from = 0) => new ChunkStream(storage, id, chunkBytes, from);

    public Task OverwriteAsync(string id, long offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        for (var done = 0; done < bytes.Length;)
        {
            var (number, start) = ((offset + done) / chunkBytes, (int)((offset + done) % chunkBytes));
            var chunk = await connection.BytesAsync(
                $"SELECT content FROM file_chunks WHERE file_id = @id AND number = @number{storage.Sql.ForUpdate}",
                [("@id", id), ("@number", number)], cancellationToken) ?? throw new FileNotFoundException($"The content of {id} is not there.");
            var count = Math.Min(bytes.Length - done, chunk.Length - start);
            bytes.Slice(done, count).CopyTo(chunk.AsMemory(start));
            await connection.ExecuteAsync(
                "UPDATE file_chunks SET content = @content WHERE file_id = @id AND number = @number",
                [("@content", chunk), ("@id", id), ("@number", number)], cancellationToken);
            done += count;
        }
        await transaction.CommitAsync(cancellationToken);
    });

    public async Task DeleteAsync(string id, CancellationToken cancellationToken)
    {
        await storage.ExecuteAsync("DELETE FROM file_chunks WHERE file_id = @id", [("@id", id)], cancellationToken);
    }

    private sealed class Sink(IStorage storage, string id, int chunkBytes) : FileSink
    {
        private readonly byte[] _chunk = new byte[chunkBytes];
        private int _filled;
        private long _number;

        public override Task CompleteAsync(CancellationToken cancellationToken) =>
            _filled > 0 ? FlushAsync(cancellationToken) : Task.CompletedTask;

        public override ValueTask DisposeAsync() => default;

        protected override async ValueTask AppendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
        {
            while (!bytes.IsEmpty)
            {
                var taken = Math.Min(bytes.Length, _chunk.Length - _filled);
                bytes[..taken].CopyTo(_chunk.AsMemory(_filled));
                _filled += taken;
                bytes = bytes[taken..];
                if (_filled == _chunk.Length) await FlushAsync(cancellationToken);
            }
        }

        private async Task FlushAsync(CancellationToken cancellationToken)
        {
            await storage.ExecuteAsync(
                "INSERT INTO file_chunks (file_id, number, content) VALUES (@id, @number, @content)",
                [("@id", id), ("@number", _number), ("@content", _filled == _chunk.Length ? _chunk : _chunk[.._filled])],
                cancellationToken);
            _number++;
            _filled = 0;
        }
    }

    /// <summary>Holds one chunk at a time, and no connection between two chunks: its reader may be slow.</summary>
    private sealed class ChunkStream(IStorage storage, string id, int chunkBytes, long from) : Stream
    {
        private readonly long _first = from / chunkBytes;
        private long _next = from / chunkBytes;
        private ReadOnlyMemory<byte> _rest;
        private bool _isOver;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            while (_rest.IsEmpty && !_isOver) await FetchAsync(cancellationToken);
            var taken = Math.Min(buffer.Length, _rest.Length);
            _rest[..taken].CopyTo(buffer);
            _rest = _rest[taken..];
            return taken;
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count) =>
            throw new NotSupportedException("The content is read asynchronously only.");

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        private async Task FetchAsync(CancellationToken cancellationToken)
        {
            await using var connection = await storage.OpenAsync(cancellationToken);
            var chunk = await connection.BytesAsync(
                "SELECT content FROM file_chunks WHERE file_id = @id AND number = @number", [("@id", id), ("@number", _next)],
                cancellationToken);
            if (chunk is null)
            {
                if (_next == 0) throw new FileNotFoundException($"The content of {id} is not there.");
                _isOver = true;
                return;
            }
            _rest = chunk;
            if (_next == _first) _rest = _rest[(int)Math.Min(from % chunkBytes, chunk.Length)..];
            if (chunk.Length < chunkBytes) _isOver = true;
            _next++;
        }
    }
}
