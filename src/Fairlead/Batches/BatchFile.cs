using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Files;
using Fairlead.Storage;

namespace Fairlead.Batches;

/// <summary>An output file of a batch, written line by line; created with its first line. Not thread-safe.</summary>
internal sealed class BatchFile(FileStore files, IFileContents contents, TimeProvider time, BatchRecord batch, string name, TimeSpan ttl)
    : IAsyncDisposable
{
    private readonly ArrayBufferWriter<byte> _line = new(4096);
    private FileSink? _sink;
    private FileReservation? _room;

    /// <summary>Null until it has a line.</summary>
    public StoredFile? File { get; private set; }

    /// <summary>Whether it is committed; if not, it is removed with this object.</summary>
    public bool IsKept { get; set; }

    public async Task WriteAsync(Action<Utf8JsonWriter> write, CancellationToken cancellationToken)
    {
        if (_sink is null) await BeginAsync(cancellationToken);
        _line.ResetWrittenCount();
        using (var json = new Utf8JsonWriter(_line, ErrorBodyWriter.WriterOptions)) write(json);
        _line.Write("\n"u8);
        // It counts for the quota and is never refused: its content is generated and paid for.
        await _room!.EnsureAsync(_sink!.Length + _line.WrittenCount, cancellationToken);
        await _sink.WriteAsync(_line.WrittenMemory, cancellationToken);
    }

    /// <summary>Makes the content durable. The returned file is not yet visible to callers; null when there is no line.</summary>
    public async Task<StoredFile?> CompleteAsync(CancellationToken cancellationToken)
    {
        if (_sink is null) return null;
        await _sink.CompleteAsync(cancellationToken);
        return File = File! with { Bytes = _sink.Length };
    }

    public async ValueTask DisposeAsync()
    {
        if (_sink is null) return;
        await _sink.DisposeAsync();
        if (IsKept) return;
        try
        {
            await contents.DeleteAsync(File!.Id, CancellationToken.None);
            await files.ForgetAsync(File.Id, CancellationToken.None);
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception) || exception is IOException)
        {
            // The sweeper finds it by its row.
        }
    }

    private async Task BeginAsync(CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        File = new StoredFile
        {
            Id = Ids.New("file-", time),
            OrganizationId = batch.OrganizationId,
            ProjectId = batch.ProjectId,
            FileName = name,
            Purpose = FilePurposes.BatchOutput,
            CreatedAt = now,
            ExpiresAt = now + ttl,
        };
        _room = new FileReservation(files, File, maxProjectBytes: null, expectedBytes: null, time);
        await _room.BeginAsync(0, cancellationToken);
        _sink = contents.Create(File.Id);
    }
}
