using System.Text.Json;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.FairleadV2;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.Webhooks;

namespace Fairlead.Generations;

/// <summary>Makes the kept form of a call, and the call of what is kept. Thread-safe.</summary>
internal sealed class JobCalls(DialectRegistry dialects, CallerSnapshots snapshots, AdminKey adminKey, ClientKey clientKey, ApplicationCallers applicationCallers, IConfigurationSource configuration, DrainState drain, EventMemory memory, MemoryBudget budget, TimeProvider time)
{
    public static GenerationRecord RecordOf(GatewayCall call) => new()
    {
        Id = call.GenerationId,
        OrganizationId = call.Caller.OrganizationId,
        ProjectId = call.Caller.ProjectId,
        KeyId = call.Caller.KeyId,
        RequestId = call.RequestId,
        Dialect = call.Dialect.Name,
        Endpoint = call.Endpoint,
        Model = call.Facts.Model,
        Class = call.Class,
        Request = call.Body.ToSharedArray(),
        RequestBytes = call.Body.Length,
        Context = new RequestContext(call.AnthropicVersion, call.AnthropicBeta, call.Simulate)
        {
            Address = call.Address?.ToString(),
            Delivery = call.Delivery ?? DeliveryOf(call),
            Metadata = call.Facts.V2?.Conversation.Metadata,
        },
        WebhookUrl = call.Facts.Extension.Webhook,
        Status = GenerationStatus.Queued,
        CreatedAt = Kept(call.StartedAt),
        AvailableAt = Kept(call.StartedAt),
        Deadline = call.Deadline,
    };

    /// <summary>The same for one that waits in the queue.</summary>
    public static GenerationRecord QueuedOf(GatewayCall call)
    {
        var record = RecordOf(call);
        return record with { Context = record.Context with { Queued = true, Delivery = new GenerationDelivery("job", null, false) } };
    }

    /// <summary>The same for one that is begun when it is accepted.</summary>
    /// <param name="call">The call.</param>
    /// <param name="wait">How long its client waits for the whole of it; null when it reads a stream.</param>
    public static GenerationRecord BegunOf(GatewayCall call, TimeSpan? wait)
    {
        var record = RecordOf(call) with { Status = GenerationStatus.InProgress, Runs = 1, StartedAt = Kept(call.Time.GetUtcNow()) };
        var delivery = wait is { } time ? new GenerationDelivery("auto", (int)time.TotalSeconds, call.GoesOn) : new GenerationDelivery("stream", null, call.GoesOn);
        return record with { Context = record.Context with { Delivery = delivery } };
    }

    /// <summary>A time as the database keeps it, so that all readers see the same.</summary>
    public static DateTimeOffset Kept(DateTimeOffset at) => DateTimeOffset.FromUnixTimeMilliseconds(at.ToUnixTimeMilliseconds());

    private static GenerationDelivery DeliveryOf(GatewayCall call) => call.Facts.V2 switch
    {
        { Delivery: V2Delivery.Job } => new GenerationDelivery("job", null, false),
        { Delivery: V2Delivery.Auto, WaitSeconds: var seconds } => new GenerationDelivery("auto", seconds, call.GoesOn),
        _ => new GenerationDelivery(call.Streams ? "stream" : "sync", null, call.GoesOn),
    };

    /// <summary>A run of <paramref name="record"/> that has not begun yet, or why there cannot be one.</summary>
    /// <param name="record">The generation.</param>
    /// <param name="isAlone">Nothing else is taken from the queue while it runs, and it is not refused for its size.</param>
    /// <exception cref="MemoryExhaustedException">There is no memory for its request.</exception>
    public (GenerationRun? Run, GatewayError? Error) RunOf(GenerationRecord record, bool isAlone = false)
    {
        if (dialects.Find(record.Dialect) is not { } dialect) return (null, new GatewayError(ErrorCode.InternalError, $"This version of the server does not know the dialect {record.Dialect}."));
        if (CallerOf(record.KeyId, record.ProjectId) is not { } caller) return (null, new GatewayError(ErrorCode.KeyRevoked, "The API key of this generation was revoked before it began."));
        return RunOf(record, dialect, caller, isAlone);
    }

    /// <summary>The same for a caller who is at hand.</summary>
    /// <exception cref="MemoryExhaustedException">There is no memory for its request.</exception>
    public (GenerationRun? Run, GatewayError? Error) RunOf(GenerationRecord record, Dialect dialect, Caller caller, bool isAlone = false)
    {
        var (call, fault) = CallOf(record, dialect, caller, isAlone);
        return call is null ? (null, fault) : (new GenerationRun(call, new CallCancellation(record.Deadline, time, CancellationToken.None, drain.LimitReached), record.EventCount, memory), null);
    }

    /// <summary>The request read again, for a view of what became of it: nothing runs for it. Its body is the caller's to dispose.</summary>
    public GatewayCall? ViewOf(GenerationRecord record, Caller caller) =>
        dialects.Find(record.Dialect) is { } dialect ? CallOf(record with { Runs = 1 }, dialect, caller, reader: budget.ShareOf(caller.KeyId)).Call : null;

    /// <summary>Whether its stream is stored and cannot start again after a part of it was read.</summary>
    public bool CannotRestartStream(GenerationRecord record)
    {
        if (CallerOf(record.KeyId, record.ProjectId) is not { } caller || ViewOf(record, caller) is not { } call) return false;
        using (call.Body) return GenerationRun.CannotRestartStream(call);
    }

    /// <summary>The request read again. Its body is the caller's to dispose.</summary>
    /// <param name="record">The generation.</param>
    /// <param name="dialect">Its dialect.</param>
    /// <param name="caller">Whose call it is.</param>
    /// <param name="isAlone">It is not refused for its size.</param>
    /// <param name="reader">Counts it for one who only reads the generation. Null for a run: jobs are limited by their workers and not by the share of their key.</param>
    /// <exception cref="MemoryExhaustedException">There is no memory for it.</exception>
    public (GatewayCall? Call, GatewayError? Error) CallOf(GenerationRecord record, Dialect dialect, Caller caller, bool isAlone = false, MemoryBudget? reader = null)
    {
        var call = new GatewayCall(record.RequestId, record.Id, dialect, caller, time)
        {
            Memory = isAlone ? null : reader ?? budget,
            StartedAt = Kept(record.CreatedAt),
            Run = Math.Max(1, record.Runs),
            Delivery = record.Context.Delivery,
            Address = System.Net.IPAddress.TryParse(record.Context.Address, out var address) ? address : null,
            Endpoint = record.Endpoint,
            AnthropicVersion = record.Context.AnthropicVersion,
            AnthropicBeta = record.Context.AnthropicBeta,
            Simulate = record.Context.Simulate,
            Site = new PublicAddress(configuration.Current.PublicUrl, null, null, null),
            Body = PooledBuffer.Of(record.Request, reader ?? budget, neverRefused: isAlone),
        };
        GatewayError? fault;
        try
        {
            fault = dialect.Requests.Read(call, configuration.Current.Requests);
        }
        catch
        {
            call.Body.Dispose();
            throw;
        }
        if (fault is null && record.Batch is not null) fault = LineFault(call);
        if (fault is not null)
        {
            call.Body.Dispose();
            return (null, fault);
        }
        call.Class = record.Class;
        call.Deadline = record.Deadline;
        return (call, null);
    }

    // What a line cannot have is refused rather than passed over in silence.
    private static GatewayError? LineFault(GatewayCall call)
    {
        if (call.Streams) return GatewayError.Unsupported("stream", "A line of a batch cannot be streamed.");
        if (call.Dialect.Background?.IsBackground(call) == true) return GatewayError.Unsupported("background", "A line of a batch is in the background already.");
        var extension = call.Facts.Extension;
        if (extension.Webhook is not null) return GatewayError.Unsupported(call.Dialect.WebhookField, "A line of a batch has no webhook of its own; the end of the batch is told to the project's webhooks.");
        if (extension.Class is not (null or CallClasses.Bulk)) return GatewayError.Unsupported(call.Dialect.ClassField, "The lines of a batch run in the class `bulk`.");
        return extension.Deadline is null ? null : GatewayError.Unsupported("fairlead.deadline_ms", "A line of a batch has no deadline of its own; the batch has its completion window.");
    }

    /// <summary>The dialect it was asked in, or null when it is none of this server's.</summary>
    public Dialect? DialectOf(GenerationRecord record) => dialects.Find(record.Dialect);

    /// <summary>The shape of errors in a dialect by its name.</summary>
    public ErrorShape ShapeOf(string dialect) => dialects.Find(dialect)?.ErrorShape ?? ErrorShape.Problem;

    /// <summary>
    /// Reads the keys again if this node does not know the key: another node may have created it a moment ago, and a job must not fail as
    /// revoked because of that. After it returns, <see cref="CallerOf"/> is right about every key created before the call.
    /// </summary>
    /// <exception cref="System.Data.Common.DbException">The database is unavailable.</exception>
    public async ValueTask LoadCallerAsync(string keyId, string projectId, CancellationToken cancellationToken)
    {
        // A revoked key stays revoked; only a key that is not in the snapshot may be new.
        if (CallerOf(keyId, projectId) is null && snapshots.Current?.FindKey(keyId) is null) await snapshots.RefreshAsync(cancellationToken);
    }

    /// <summary>Whose key it is. One that expired after the job was accepted still stands for it; one that was revoked does not.</summary>
    public Caller? CallerOf(string keyId, string projectId)
    {
        if (adminKey.Caller.KeyId == keyId) return adminKey.Caller;
        if (clientKey.Caller.KeyId == keyId) return clientKey.IsSet ? clientKey.Caller : null;
        if (applicationCallers.Find(keyId, projectId) is { } known) return known;
        return snapshots.Current?.FindKey(keyId) is { RevokedAt: null } secret ? secret.Caller : null;
    }
}
