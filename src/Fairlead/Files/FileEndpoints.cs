using System.Globalization;
using Fairlead.Access;
using Fairlead.Batches;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Memory;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Net.Http.Headers;

namespace Fairlead.Files;

/// <summary><c>/v1/files</c> of OpenAI: upload, list, read, delete. A key sees the files of its project.</summary>
internal sealed class FileEndpoints(OpenAiObjects objects, FileStore store, IFileContents contents, FileSweeper sweeper,
    IConfigurationSource configuration, MemoryBudget memory, TimeProvider time)
{
    private const int MaxListed = 10_000;

    // Maximum bytes around the content.
    private const int MultipartOverhead = 64 * 1024;

    // The buffers of one upload: what was read of the body, and what is written at once.
    private const int UploadBytes = (64 * 1024) + DatabaseFileContents.ChunkBytes;

    public Task UploadAsync(HttpContext context) => objects.ServeAsync(context, async caller =>
    {
        var bounds = configuration.Current.Files;
        if (RequestReader.CheckEncoding(context.Request) is { } encoded) return encoded;
        if (context.Request.ContentLength > bounds.MaxFileBytes + MultipartOverhead) return FileUpload.TooLarge(bounds.MaxFileBytes);
        // The gateway enforces the limit itself, so that the error has a body.
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size) size.MaxRequestBodySize = null;
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
        var length = context.Request.ContentLength;
        var room = new FileReservation(store, file, bounds.MaxProjectBytes, length, time);
        if (!await room.BeginAsync(Math.Max(0, (length ?? 0) - MultipartOverhead), context.RequestAborted)) return Full(bounds);
        var isKept = false;
        try
        {
            var upload = new FileUpload();
            await using (var sink = contents.Create(file.Id))
            {
                if (await ReadAsync(context, upload, sink, bounds, room) is { } fault) return fault;
                if (upload.Purpose == FilePurposes.Batch && sink.Length > Batches.BatchLimits.MaxFileBytes)
                    return FileUpload.TooLarge(Batches.BatchLimits.MaxFileBytes);
                await sink.CompleteAsync(context.RequestAborted);
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
        await OpenAiObjects.WriteAsync(context, json => FileWriter.Write(json, file));
        return null;
    });

    public Task ListAsync(HttpContext context) => objects.ServeAsync(context, async caller =>
    {
        var query = new QueryReader(context.Request.Query, "purpose", "limit", "order", "after");
        var purpose = query.OneOf("purpose", FilePurposes.All);
        var limit = query.Integer("limit", 1, MaxListed, MaxListed);
        var order = query.OneOf("order", ["asc", "desc"]) ?? "desc";
        var after = query.Text("after");
        if (query.Error is { } fault) return fault;
        var rows = await store.ListAsync(caller.ProjectId, purpose, after, order == "desc", limit + 1, context.RequestAborted);
        await OpenAiObjects.WriteListAsync(context, rows, limit, row => row.Id, FileWriter.Write);
        return null;
    });

    public Task GetAsync(HttpContext context) => objects.ServeAsync(context, async caller =>
    {
        var (file, fault) = await FindAsync(context, caller);
        if (file is null) return fault;
        await OpenAiObjects.WriteAsync(context, json => FileWriter.Write(json, file));
        return null;
    });

    public Task ContentAsync(HttpContext context) => objects.ServeAsync(context, async caller =>
    {
        var (file, fault) = await FindAsync(context, caller);
        if (file is null) return fault;
        // The buffers that a content passes through: its start, and one chunk of the rest.
        using var held = new MemoryLease(memory.ShareOf(caller.KeyId));
        if (!held.TryTake(UploadBytes)) return MemoryBudget.Overloaded;
        await using var opened = await OpenAsync(file.Id, context.RequestAborted);
        if (opened is not { } content) return new GatewayError(ErrorCode.NotFound, $"The content of the file {file.Id} no longer exists.");
        var headers = context.Response.Headers;
        context.Response.ContentType = "application/octet-stream";
        context.Response.ContentLength = file.Bytes;
        headers.CacheControl = "no-store";
        // Whatever was uploaded, a browser must not render it as a page.
        headers.XContentTypeOptions = "nosniff";
        var disposition = new ContentDispositionHeaderValue("attachment");
        disposition.SetHttpFileName(file.FileName);
        headers.ContentDisposition = disposition.ToString();
        await content.CopyToAsync(context.Response.Body, context.RequestAborted);
        return null;
    });

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
    private sealed class OpenContent(Stream rest, ReadOnlyMemory<byte> first) : IAsyncDisposable
    {
        public async Task CopyToAsync(Stream target, CancellationToken cancellationToken)
        {
            await target.WriteAsync(first, cancellationToken);
            await rest.CopyToAsync(target, cancellationToken);
        }

        public ValueTask DisposeAsync() => rest.DisposeAsync();
    }

    public Task DeleteAsync(HttpContext context) => objects.ServeAsync(context, async caller =>
    {
        var id = IdOf(context);
        if (await store.DeleteAsync(caller.ProjectId, id, context.RequestAborted) is not { } isFree) return NotFound(id);
        // At once, so that its space is free for the next upload.
        if (isFree) await sweeper.TryRemoveAsync(id);
        await OpenAiObjects.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("id", id);
            json.WriteString("object", "file");
            json.WriteBoolean("deleted", true);
            json.WriteEndObject();
        });
        return null;
    });

    public static GatewayError NotFound(string id) => new(ErrorCode.NotFound, $"No such File object: {(id.Length > 100 ? id[..100] : id)}");

    // A broken body is the client's error; a disk that cannot be written is not.
    private static async Task<GatewayError?> ReadAsync(HttpContext context, FileUpload upload, FileSink sink, FilesConfig bounds,
        FileReservation room)
    {
        var body = new RequestBody(context.Request.Body);
        try
        {
            return await upload.ReadAsync(context.Request.ContentType, body, sink, bounds, room, context.RequestAborted);
        }
        catch (IOException exception) when (body.IsOver && exception is not BadHttpRequestException)
        {
            return new GatewayError(ErrorCode.InvalidParameter, "The multipart body ended before its last boundary.");
        }
    }

    private async Task<(StoredFile? File, GatewayError? Error)> FindAsync(HttpContext context, Caller caller)
    {
        var id = IdOf(context);
        return await store.FindAsync(caller.ProjectId, id, context.RequestAborted) is { } file ? (file, null) : (null, NotFound(id));
    }

    private static string IdOf(HttpContext context) => context.Request.RouteValues["id"] as string ?? "";

    /// <summary>The error for a request that would exceed the project's quota.</summary>
    public static GatewayError Full(FilesConfig bounds) =>
        new(ErrorCode.PayloadTooLarge,
            string.Create(CultureInfo.InvariantCulture,
            $"The files of this project would take more than {bounds.MaxProjectBytes:N0} bytes."))
        {
            Parameter = "file",
            Remedy = "Delete files that are no longer needed, or wait for them to expire. A file that a batch reads counts until the batch has ended.",
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
