using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Files;
using Fairlead.Generations;
using Fairlead.Http;
using Fairlead.Idempotency;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Batches;

/// <summary><c>/v1/batches</c> of OpenAI. A key sees the batches of its project.</summary>
internal sealed class BatchEndpoints(
    OpenAiObjects objects, BatchStore store, FileStore files, DialectRegistry dialects, BatchWorker worker, IStorage storage,
    Configuration.IConfigurationSource configuration, Memory.MemoryBudget memory, TimeProvider time)
{
    private const int MaxBodyBytes = 64 * 1024;
    private const int MaxListed = 100;

    public Task CreateAsync(HttpContext context) => objects.ServeAsync(context, async caller =>
    {
        var bounds = configuration.Current.Requests with { MaxBodyBytes = MaxBodyBytes };
        using var body = new PooledBuffer(1024, memory.ShareOf(caller.KeyId));
        if ((RequestReader.CheckHeaders(context.Request, bounds) ?? await RequestReader.ReadAsync(context, body, bounds)) is { } unread)
            return unread;
        var (key, fault) = IdempotencyHeader.Read(context.Request.Headers);
        if (fault is not null) return fault;
        var request = BatchRequest.Read(body.WrittenMemory);
        if (key is not null && await store.FindByKeyAsync(caller.ProjectId, key, context.RequestAborted) is { } earlier)
            return await RepeatAsync(context, earlier, request);
        if (Forbids(caller, request) is { } forbidden) return forbidden;
        if (await files.FindAsync(caller.ProjectId, request.InputFileId, context.RequestAborted) is not { } file)
            return FileEndpoints.NotFound(request.InputFileId) with { Parameter = "input_file_id" };
        if (file.Purpose != FilePurposes.Batch)
        {
            return GatewayError.Invalid("input_file_id",
                $"The file '{file.Id}' was uploaded with the purpose '{file.Purpose}'; a batch needs one with 'batch'.");
        }

        // The output of earlier batches is never refused, so a project above its quota cannot start another batch.
        if (await files.BytesOfAsync(caller.ProjectId, context.RequestAborted) > configuration.Current.Files.MaxProjectBytes)
            return FileEndpoints.Full(configuration.Current.Files) with { Parameter = "input_file_id" };

        var now = time.GetUtcNow();
        var batch = new BatchRecord
        {
            Id = Ids.New("batch_", time),
            OrganizationId = caller.OrganizationId,
            ProjectId = caller.ProjectId,
            KeyId = caller.KeyId,
            Endpoint = request.Endpoint,
            InputFileId = file.Id,
            Status = BatchStatus.Validating,
            CreatedAt = now,
            ExpiresAt = now + BatchLimits.Window,
            Metadata = request.Metadata,
            OutputTtl = request.OutputTtl,
            IdempotencyKey = key,
            Fingerprint = request.Fingerprint,
        };
        try
        {
            // Not the client's token: if the client disconnects now, the batch exists or not, but never half of it.
            if (!await store.AddAsync(batch, CancellationToken.None))
                return FileEndpoints.NotFound(file.Id) with { Parameter = "input_file_id" };
        }
        catch (Exception exception) when (key is not null && StorageFaults.IsUniqueViolation(exception))
        {
            if (await store.FindByKeyAsync(caller.ProjectId, key, context.RequestAborted) is { } winner)
                return await RepeatAsync(context, winner, request);
            throw;
        }
        catch (UnknownCommitException)
        {
            worker.Disown(batch);
            throw;
        }
        worker.Wake();
        storage.Notifier.Announce(BatchNotices.Changed, batch.Id);
        await OpenAiObjects.WriteAsync(context, json => BatchWriter.Write(json, batch));
        return null;
    });

    public Task ListAsync(HttpContext context) => objects.ServeAsync(context, async caller =>
    {
        var query = new QueryReader(context.Request.Query, "limit", "after");
        var limit = query.Integer("limit", 1, MaxListed, 20);
        var after = query.Text("after");
        if (query.Error is { } fault) return fault;
        var rows = await store.ListAsync(caller.ProjectId, after, limit + 1, context.RequestAborted);
        await OpenAiObjects.WriteListAsync(context, rows, limit, row => row.Id, BatchWriter.Write);
        return null;
    });

    public Task GetAsync(HttpContext context) => objects.ServeAsync(context, async caller =>
    {
        var id = IdOf(context);
        if (await store.FindAsync(caller.ProjectId, id, context.RequestAborted) is not { } batch) return NotFound(id);
        await OpenAiObjects.WriteAsync(context, json => BatchWriter.Write(json, batch));
        return null;
    });

    public Task CancelAsync(HttpContext context) => objects.ServeAsync(context, async caller =>
    {
        var id = IdOf(context);
        if (await store.CancelAsync(caller.ProjectId, id, CancellationToken.None) is not { } batch) return NotFound(id);
        if (batch.Status is BatchStatus.Completed or BatchStatus.Failed or BatchStatus.Expired or BatchStatus.Finalizing)
        {
            return new GatewayError(ErrorCode.Conflict,
                $"Cannot cancel a batch with status '{batch.Status}'.") { Remedy = "Nothing is left to cancel." };
        }

        worker.Wake();
        storage.Notifier.Announce(BatchNotices.Changed, id);
        await OpenAiObjects.WriteAsync(context, json => BatchWriter.Write(json, batch));
        return null;
    });

    private static async Task<GatewayError?> RepeatAsync(HttpContext context, BatchRecord earlier, BatchRequest request)
    {
        if (!earlier.Fingerprint.AsSpan().SequenceEqual(request.Fingerprint))
        {
            return new GatewayError(ErrorCode.IdempotencyConflict,
                "This Idempotency-Key was used for another request.") { Parameter = "Idempotency-Key" };
        }

        context.Response.Headers["Idempotent-Replayed"] = "true";
        await OpenAiObjects.WriteAsync(context, json => BatchWriter.Write(json, earlier));
        return null;
    }

    /// <summary>Why every line would be refused.</summary>
    private GatewayError? Forbids(Caller caller, BatchRequest request)
    {
        if (!caller.Classes.Contains("bulk"))
            return new GatewayError(ErrorCode.ClassNotAllowed, "Batches run in the class `bulk`, which this key may not use.");
        var scope = dialects.At(request.Endpoint).Scope;
        return caller.HasScope(scope) ? null
            : new GatewayError(ErrorCode.InsufficientScope,
            $"The lines of this batch need the scope `{scope}`, which this key does not have.") { Parameter = "endpoint" };
    }

    private static string IdOf(HttpContext context) => context.Request.RouteValues["id"] as string ?? "";

    private static GatewayError NotFound(string id) =>
        new(ErrorCode.NotFound, $"No such Batch object: {(id.Length > 100 ? id[..100] : id)}");
}
