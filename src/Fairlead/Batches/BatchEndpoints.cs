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

namespace Fairlead.Batches;

/// <summary><c>/v1/batches</c> of OpenAI. A key sees the batches of its project.</summary>
internal sealed class BatchEndpoints(
    BatchStore store, FileStore files, DialectRegistry dialects, BatchWorker worker, IStorage storage,
    IConfigurationSource configuration, MemoryBudget memory, TimeProvider time)
{
    private const int MaxBodyBytes = 64 * 1024;
    private const int MaxListed = 100;

    public async Task<EndpointResult> CreateAsync(EndpointRequest request)
    {
        var caller = request.Caller;
        var bounds = configuration.Current.Requests with { MaxBodyBytes = MaxBodyBytes };
        using var body = new PooledBuffer(1024, memory.ShareOf(caller.KeyId));
        if (await request.ReadAsync(body, bounds) is { } unreadable) return unreadable;
        var (key, error) = IdempotencyHeader.Read(request.Headers);
        if (error is not null) return error;
        var wanted = BatchRequest.Read(body.WrittenMemory);
        if (key is not null && await store.FindByKeyAsync(caller.ProjectId, key, request.Cancellation) is { } earlier)
            return Repeat(earlier, wanted);
        if (Forbids(caller, wanted) is { } forbidden) return forbidden;
        if (await files.FindAsync(caller.ProjectId, wanted.InputFileId, request.Cancellation) is not { } file)
            return FileEndpoints.NotFound(wanted.InputFileId) with { Parameter = "input_file_id" };
        if (file.Purpose != FilePurposes.Batch)
        {
            return GatewayError.Invalid("input_file_id",
                $"The file '{file.Id}' was uploaded with the purpose '{file.Purpose}'; a batch needs one with 'batch'.");
        }

        // The output of earlier batches is never refused, so a project above its quota cannot start another batch.
        if (await files.BytesOfAsync(caller.ProjectId, request.Cancellation) > configuration.Current.Files.MaxProjectBytes)
            return FileEndpoints.Full(configuration.Current.Files) with { Parameter = "input_file_id" };

        var now = time.GetUtcNow();
        var batch = new BatchRecord
        {
            Id = Ids.New("batch_", time),
            OrganizationId = caller.OrganizationId,
            ProjectId = caller.ProjectId,
            KeyId = caller.KeyId,
            Endpoint = wanted.Endpoint,
            InputFileId = file.Id,
            Status = BatchStatus.Validating,
            CreatedAt = now,
            ExpiresAt = now + BatchLimits.Window,
            Metadata = wanted.Metadata,
            OutputTtl = wanted.OutputTtl,
            IdempotencyKey = key,
            Fingerprint = wanted.Fingerprint,
        };
        try
        {
            // Not the client's token: if the client disconnects now, the batch exists or not, but never half of it.
            if (!await store.AddAsync(batch, CancellationToken.None))
                return FileEndpoints.NotFound(file.Id) with { Parameter = "input_file_id" };
        }
        catch (Exception exception) when (key is not null && StorageErrors.IsUniqueViolation(exception))
        {
            if (await store.FindByKeyAsync(caller.ProjectId, key, request.Cancellation) is { } winner)
                return Repeat(winner, wanted);
            throw;
        }
        catch (UnknownCommitException)
        {
            worker.Disown(batch);
            throw;
        }
        worker.Wake();
        storage.Notifier.Announce(BatchNotices.Changed, batch.Id);
        return EndpointResult.Json(json => BatchWriter.Write(json, batch));
    }

    public async Task<EndpointResult> ListAsync(EndpointRequest request)
    {
        var query = new QueryReader(request.Query, "limit", "after");
        var limit = query.Integer("limit", 1, MaxListed, 20);
        var after = query.Text("after");
        if (query.Error is { } error) return error;
        var rows = await store.ListAsync(request.Caller.ProjectId, after, limit + 1, request.Cancellation);
        return OpenAiList.Of(rows, limit, row => row.Id, BatchWriter.Write);
    }

    public async Task<EndpointResult> GetAsync(EndpointRequest request)
    {
        var id = request.Id;
        if (await store.FindAsync(request.Caller.ProjectId, id, request.Cancellation) is not { } batch) return NotFound(id);
        return EndpointResult.Json(json => BatchWriter.Write(json, batch));
    }

    public async Task<EndpointResult> CancelAsync(EndpointRequest request)
    {
        var id = request.Id;
        if (await store.CancelAsync(request.Caller.ProjectId, id, CancellationToken.None) is not { } batch) return NotFound(id);
        if (batch.Status is BatchStatus.Completed or BatchStatus.Failed or BatchStatus.Expired or BatchStatus.Finalizing)
        {
            return new GatewayError(ErrorCode.Conflict,
                $"Cannot cancel a batch with status '{batch.Status}'.") { Remedy = "Nothing is left to cancel." };
        }

        worker.Wake();
        storage.Notifier.Announce(BatchNotices.Changed, id);
        return EndpointResult.Json(json => BatchWriter.Write(json, batch));
    }

    private static EndpointResult Repeat(BatchRecord earlier, BatchRequest request)
    {
        if (!earlier.Fingerprint.AsSpan().SequenceEqual(request.Fingerprint))
        {
            return new GatewayError(ErrorCode.IdempotencyConflict,
                "This Idempotency-Key was used for another request.") { Parameter = "Idempotency-Key" };
        }

        return EndpointResult.Json(json => BatchWriter.Write(json, earlier)).WithHeader("Idempotent-Replayed", "true");
    }

    /// <summary>Why every line would be refused.</summary>
    private GatewayError? Forbids(Caller caller, BatchRequest request)
    {
        if (!caller.Classes.Contains(CallClasses.Bulk))
            return new GatewayError(ErrorCode.ClassNotAllowed, "Batches run in the class `bulk`, which this key may not use.");
        var scope = dialects.At(request.Endpoint).Scope;
        return caller.HasScope(scope) ? null
            : new GatewayError(ErrorCode.InsufficientScope,
            $"The lines of this batch need the scope `{scope}`, which this key does not have.") { Parameter = "endpoint" };
    }

    private static GatewayError NotFound(string id) =>
        new(ErrorCode.NotFound, $"No such Batch object: {(id.Length > 100 ? id[..100] : id)}");
}
