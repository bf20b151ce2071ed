using System.Globalization;
using System.IO.Pipelines;
using Fairlead.Batches;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Memory;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Fairlead.Files;

/// <summary><c>/v1/files</c> of OpenAI: upload, list, read, delete. A key sees the files of its project.</summary>
internal sealed class FileEndpoints(FileStore store, IFileContents contents, FileSweeper sweeper,
    IConfigurationSource configuration, MemoryBudget memory, TimeProvider time)
{
    private const int MaxListed = 10_000;

    // Maximum bytes around the content.
    private const int MultipartOverhead = 64 * 1024;

    // The buffers of one upload: what was read of the body, and what is written at once.
    private const int UploadBytes = (64 * 1024) + DatabaseFileContents.ChunkBytes;

    public async Task<EndpointResult> UploadAsync(EndpointRequest request)
    {
        var caller = request.Caller;
        var bounds = configuration.Current.Files;
        if (request.CheckEncoding() is { } encoded) return encoded;
        if (request.ContentLength > bounds.MaxFileBytes + MultipartOverhead) return FileUpload.TooLarge(bounds.MaxFileBytes);
        request.LiftBodyLimit();
        // The content itself is not held in memory, only the buffers that it passes through.
        using var held = new MemoryLease(memory.ShareOf(caller.KeyId));
        if (!held.TryTake(UploadBytes)) return MemoryBudget.Overloaded;
        var now = time.GetUtcNow();
        var file = new StoredFile
        {
            Id = Ids.New("file-", time),
            OrganizationId = caller.OrganizationId,
            ProjectId = caller.ProjectId,
            FileName = "",
            Purpose = "",
            CreatedAt = now,
            ExpiresAt = now,
        };
        var length = request.ContentLength;
        var room = new FileReservation(store, file, bounds.MaxProjectBytes, length, time);
        if (!await room.BeginAsync(Math.Max(0, (length ?? 0) - MultipartOverhead), request.Cancellation)) return Full(bounds);
        var isKept = false;
        try
        {
            var upload = new FileUpload();
            await using (var sink = contents.Create(file.Id))
            {
                if (await ReadAsync(request, upload, sink, bounds, room) is { } error) return error;
                if (upload.Purpose == FilePurposes.Batch && sink.Length > BatchLimits.MaxFileBytes)
                    return FileUpload.TooLarge(BatchLimits.MaxFileBytes);
                await sink.CompleteAsync(request.Cancellation);
                var lifetime = upload.Lifetime ?? bounds.Ttl;
                file = file with { FileName = upload.FileName, Purpose = upload.Purpose, Bytes = sink.Length, ExpiresAt = now + lifetime };
            }
            // Not the client's token: committed content stays, and other content is removed.
            if (!await store.CompleteAsync(file, configuration.Current.Files.MaxProjectBytes, CancellationToken.None))
                return Full(configuration.Current.Files);
            isKept = true;
        }
        catch (UnknownCommitException)
        {
            // It may be visible by now. If not, its reservation expires.
            isKept = true;
            throw;
        }
        finally
        {
            if (!isKept)
            {
                await contents.DeleteAsync(file.Id, CancellationToken.None);
                await store.ForgetAsync(file.Id, CancellationToken.None);
            }
        }
        return EndpointResult.Json(json => FileWriter.Write(json, file));
    }

    public async Task<EndpointResult> ListAsync(EndpointRequest request)
    {
        var query = new QueryReader(request.Query, "purpose", "limit", "order", "after");
        var purpose = query.OneOf("purpose", FilePurposes.All);
        var limit = query.Integer("limit", 1, MaxListed, MaxListed);
        var order = query.OneOf("order", ["asc", "desc"]) ?? "desc";
        var after = query.Text("after");
        if (query.Error is { } error) return error;
        var rows = await store.ListAsync(request.Caller.ProjectId, purpose, after, order == "desc", limit + 1, request.Cancellation);
        return OpenAiList.Of(rows, limit, row => row.Id, FileWriter.Write);
    }

    public async Task<EndpointResult> GetAsync(EndpointRequest request) =>
        await FindAsync(request) is { } file ? EndpointResult.Json(json => FileWriter.Write(json, file)) : NotFound(request.Id);

    public async Task<EndpointResult> ContentAsync(EndpointRequest request)
    {
        if (await FindAsync(request) is not { } file) return NotFound(request.Id);
        // The buffers that a content passes through: its start, and one chunk of the rest.
        var held = request.DisposeAfterResponse(new MemoryLease(memory.ShareOf(request.Caller.KeyId)));
        if (!held.TryTake(UploadBytes)) return MemoryBudget.Overloaded;
        if (await OpenAsync(file.Id, request.Cancellation) is not { } content)
            return new GatewayError(ErrorCode.NotFound, $"The content of the file {file.Id} no longer exists.");
        request.DisposeAfterResponse(content);
        var disposition = new ContentDispositionHeaderValue("attachment");
        disposition.SetHttpFileName(file.FileName);
        // Whatever was uploaded, a browser must not render it as a page.
        return EndpointResult.Body("application/octet-stream", file.Bytes, content.CopyToAsync)
            .WithHeader("X-Content-Type-Options", "nosniff")
            .WithHeader("Content-Disposition", disposition.ToString());
    }

    // Read before the status is sent: if the content is missing or cannot be read now, the response is an error.
    private async Task<OpenContent?> OpenAsync(string id, CancellationToken cancellationToken)
    {
        Stream? stream = null;
        try
        {
            stream = contents.Open(id);
            var first = new byte[64 * 1024];
            var length = await stream.ReadAsync(first, cancellationToken);
            return new OpenContent(stream, first.AsMemory(0, length));
        }
        catch (Exception exception)
        {
            if (stream is not null) await stream.DisposeAsync();
            if (exception is FileNotFoundException) return null;
            throw;
        }
    }

    /// <summary>A content whose start was read.</summary>
    private sealed class OpenContent(Stream rest, ReadOnlyMemory<byte> first) : IDisposable
    {
        public async Task CopyToAsync(PipeWriter output, CancellationToken cancellationToken)
        {
            await output.WriteAsync(first, cancellationToken);
            await rest.CopyToAsync(output.AsStream(leaveOpen: true), cancellationToken);
        }

        public void Dispose() => rest.Dispose();
    }

    public async Task<EndpointResult> DeleteAsync(EndpointRequest request)
    {
        var id = request.Id;
        if (await store.DeleteAsync(request.Caller.ProjectId, id, request.Cancellation) is not { } isFree) return NotFound(id);
        // At once, so that its space is free for the next upload.
        if (isFree) await sweeper.TryRemoveAsync(id);
        return EndpointResult.Json(json =>
        {
            json.WriteStartObject();
            json.WriteString("id", id);
            json.WriteString("object", "file");
            json.WriteBoolean("deleted", true);
            json.WriteEndObject();
        });
    }

    public static GatewayError NotFound(string id) => new(ErrorCode.NotFound, $"No such File object: {(id.Length > 100 ? id[..100] : id)}");

    // A broken body is the client's error; a disk that cannot be written is not.
    private static async Task<GatewayError?> ReadAsync(EndpointRequest request, FileUpload upload, FileSink sink, FilesConfig bounds,
        FileReservation room)
    {
        var body = new RequestBody(request.Body);
        try
        {
            return await upload.ReadAsync(request.ContentType, body, sink, bounds, room, request.Cancellation);
        }
        catch (IOException exception) when (body.IsOver && exception is not BadHttpRequestException)
        {
            return new GatewayError(ErrorCode.InvalidParameter, "The multipart body ended before its last boundary.");
        }
    }

    private Task<StoredFile?> FindAsync(EndpointRequest request) =>
        store.FindAsync(request.Caller.ProjectId, request.Id, request.Cancellation);

    /// <summary>The error for a request that would exceed the project's quota.</summary>
    public static GatewayError Full(FilesConfig bounds) =>
        new(ErrorCode.PayloadTooLarge,
            string.Create(CultureInfo.InvariantCulture,
            $"The files of this project would take more than {bounds.MaxProjectBytes:N0} bytes."))
        {
            Parameter = "file",
            Remedy = "Delete files that are no longer needed, or wait for them to expire. A file that a batch reads counts until the batch "
                + "has ended.",
        };

    /// <summary>Knows whether the body was read to its end.</summary>
    private sealed class RequestBody(Stream body) : Stream
    {
        public bool IsOver { get; private set; }

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
            var read = await body.ReadAsync(buffer, cancellationToken);
            if (read == 0 && buffer.Length > 0) IsOver = true;
            return read;
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count) =>
            throw new NotSupportedException("A request is only read asynchronously.");

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
