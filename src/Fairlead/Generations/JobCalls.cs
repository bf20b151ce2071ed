using System.Text.Json;
using Fairlead.Access;
using Fairlead.Access.Tokens;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.FairleadV2;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;
using Fairlead.Streaming;
using Fairlead.Webhooks;

namespace Fairlead.Generations;

/// <summary>Converts calls to stored generations, and stored generations to calls. Thread-safe.</summary>
internal sealed class JobCalls(
    DialectRegistry dialects,
    CallerSnapshots snapshots,
    AdminKey adminKey,
    ClientKey clientKey,
    ApplicationCallers applicationCallers,
    TokenCallers tokenCallers,
    IConfigurationSource configuration,
    DrainState drain,
    EventMemory memory,
    MemoryBudget budget,
    TimeProvider time)
{
    /// <summary>The generation of a call, as it is stored.</summary>
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
            Metadata = MetadataOf(call),
            EndUser = call.Facts.Labels?.EndUser,
            Policy = CheckedInput.Of(call.Policy),
        },
        WebhookUrl = call.Facts.Extension.Webhook,
        Hold = JobHold.Of(call.Reservation),
        Status = GenerationStatus.Queued,
        CreatedAt = Stored(call.StartedAt),
        AvailableAt = Stored(call.StartedAt),
        Deadline = call.Deadline,
    };

    private static IReadOnlyDictionary<string, string>? MetadataOf(GatewayCall call)
    {
        if (call.Facts.V2 is { } own) return own.Conversation.Metadata;
        return call.Facts.Labels is { Metadata.Count: > 0 } labels ? labels.Metadata.ToDictionary(StringComparer.Ordinal) : null;
    }

    /// <summary>The generation of a call that goes into the queue.</summary>
    public static GenerationRecord QueuedOf(GatewayCall call)
    {
        var record = RecordOf(call);
        return record with { Context = record.Context with { Queued = true, Delivery = new GenerationDelivery("job", null, false) } };
    }

    /// <summary>The generation of a call that runs as soon as it is accepted.</summary>
    /// <param name="call">The call.</param>
    /// <param name="wait">
    /// How long its client waits for the whole response, infinite to its end; null if the client reads a stream.
    /// </param>
    /// <param name="endsWithClient">Whether it ends with its client.</param>
    public static GenerationRecord RunningOf(GatewayCall call, TimeSpan? wait, bool endsWithClient = false)
    {
        var record = RecordOf(call) with { Status = GenerationStatus.InProgress, Runs = 1, StartedAt = Stored(call.Time.GetUtcNow()) };
        var delivery = wait switch
        {
            null => new GenerationDelivery("stream", null, call.ContinuesWithoutClient),
            { } time when time == Timeout.InfiniteTimeSpan => new GenerationDelivery("sync", null, call.ContinuesWithoutClient),
            { } time => new GenerationDelivery("auto", (int)time.TotalSeconds, call.ContinuesWithoutClient),
        };
        return record with { Context = record.Context with { Delivery = delivery with { EndsWithClient = endsWithClient } } };
    }

    /// <summary>A time with the precision of the database, so that all readers see the same.</summary>
    public static DateTimeOffset Stored(DateTimeOffset at) => DateTimeOffset.FromUnixTimeMilliseconds(at.ToUnixTimeMilliseconds());

    private static GenerationDelivery DeliveryOf(GatewayCall call) => call.Facts.V2 switch
    {
        { Delivery: V2Delivery.Job } => new GenerationDelivery("job", null, false),
        { Delivery: V2Delivery.Auto, WaitSeconds: var seconds } => new GenerationDelivery("auto", seconds, call.ContinuesWithoutClient),
        _ => new GenerationDelivery(call.Streams ? "stream" : "sync", null, call.ContinuesWithoutClient),
    };

    /// <summary>A run of a job from the queue that has not started yet, or the reason why it cannot run.</summary>
    /// <param name="record">The job, with its request, which is neither copied nor read again.</param>
    /// <param name="isAlone">No other job runs beside it, and it is not refused for its size.</param>
    /// <exception cref="MemoryExhaustedException">There is no memory for its request.</exception>
    public (GenerationRun? Run, GatewayError? Error) RunOf(GenerationRecord record, bool isAlone)
    {
        if (dialects.Find(record.Dialect) is not { } dialect)
        {
            var message = $"This version of the server does not know the dialect {record.Dialect}.";
            return (null, new GatewayError(ErrorCode.InternalError, message));
        }
        if (CallerOf(record.KeyId, record.ProjectId) is not { } caller)
        {
            return (null, new GatewayError(ErrorCode.KeyRevoked, "The API key of this generation was revoked before it started."));
        }
        // Nobody waits for it any more: the connection of its client went with the process.
        if (record.Context.Delivery is { EndsWithClient: true })
        {
            return (null, new GatewayError(
                ErrorCode.InternalError, "The server stopped during this response, and its client with it. Send the request again."));
        }
        var (run, error) = RunOf(record, dialect, caller, isAlone);
        if (run is null || record.EventCount == 0 || !run.CannotRestartStream) return (run, error);
        run.Dispose();
        return (null, new GatewayError(
            ErrorCode.InternalError,
            "The server stopped during this response, and a stream in this dialect cannot start again. Send the request again."));
    }

    /// <summary>A run of <paramref name="record"/> for a known caller.</summary>
    /// <exception cref="MemoryExhaustedException">There is no memory for its request.</exception>
    public (GenerationRun? Run, GatewayError? Error) RunOf(GenerationRecord record, Dialect dialect, Caller caller, bool isAlone = false)
    {
        var (call, fault) = CallOf(record, dialect, caller, isAlone);
        if (call is null) return (null, fault);
        var cancellation = new CallCancellation(record.Deadline, time, CancellationToken.None, drain.LimitReached);
        return (new GenerationRun(call, cancellation, record.EventCount, memory), null);
    }

    /// <summary>The call of a stored request for a view of its generation. Nothing runs for it. The caller disposes its body.</summary>
    public GatewayCall? ViewOf(GenerationRecord record, Caller caller) => dialects.Find(record.Dialect) is { } dialect
        ? CallOf(record with { Runs = 1 }, dialect, caller, reader: budget.ShareOf(caller.KeyId)).Call
        : null;

    /// <summary>The call of a stored request. The caller disposes its body.</summary>
    /// <param name="record">The generation.</param>
    /// <param name="dialect">Its dialect.</param>
    /// <param name="caller">Who sent the request.</param>
    /// <param name="isAlone">It is not refused for its size.</param>
    /// <param name="reader">
    /// Counts the memory for a caller that only reads the generation. Null for a run: jobs are limited by their workers and not by the
    /// share of their key.
    /// </param>
    /// <exception cref="MemoryExhaustedException">There is no memory for it.</exception>
    public (GatewayCall? Call, GatewayError? Error) CallOf(
        GenerationRecord record, Dialect dialect, Caller caller, bool isAlone = false, MemoryBudget? reader = null)
    {
        var call = new GatewayCall(record.RequestId, record.Id, dialect, caller, time)
        {
            Memory = isAlone ? null : reader ?? budget,
            StartedAt = Stored(record.CreatedAt),
            Run = Math.Max(1, record.Runs),
            Delivery = record.Context.Delivery,
            Address = System.Net.IPAddress.TryParse(record.Context.Address, out var address) ? address : null,
            Endpoint = record.Endpoint,
            AnthropicVersion = record.Context.AnthropicVersion,
            AnthropicBeta = record.Context.AnthropicBeta,
            Simulate = record.Context.Simulate,
            CheckedInput = record.Context.Policy,
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
        if (fault is null && record.Batch is not null) fault = LineError(call);
        if (fault is not null)
        {
            call.Body.Dispose();
            return (null, fault);
        }
        call.Class = record.Class;
        call.Deadline = record.Deadline;
        return (call, null);
    }

    // Fields that a line of a batch cannot have are refused, not ignored.
    private static GatewayError? LineError(GatewayCall call)
    {
        if (call.Streams) return GatewayError.Unsupported("stream", "A line of a batch cannot be streamed.");
        if (call.Dialect.Background?.IsBackground(call) == true)
        {
            return GatewayError.Unsupported("background", "A line of a batch is in the background already.");
        }
        var extension = call.Facts.Extension;
        if (extension.Webhook is not null)
        {
            return GatewayError.Unsupported(
                call.Dialect.WebhookField, "A line of a batch has no webhook. The project's webhooks receive the end of the batch.");
        }
        if (extension.Class is not (null or CallClasses.Bulk))
        {
            return GatewayError.Unsupported(call.Dialect.ClassField, "The lines of a batch run in the class `bulk`.");
        }
        return extension.Deadline is null ? null : GatewayError.Unsupported(
            "fairlead.deadline_ms", "A line of a batch has no deadline. The batch has a completion window.");
    }

    /// <summary>The dialect of the request; null if this server does not have it.</summary>
    public Dialect? DialectOf(GenerationRecord record) => dialects.Find(record.Dialect);

    /// <summary>The shape of errors in a dialect.</summary>
    public ErrorShape ShapeOf(string dialect) => dialects.Find(dialect)?.ErrorShape ?? ErrorShape.Problem;

    /// <summary>
    /// Reads the keys again if this node does not know the key: another node may have created it a moment ago, and a job must not fail as
    /// revoked because of that. After it returns, <see cref="CallerOf"/> is right about every key created before the call.
    /// </summary>
    /// <exception cref="System.Data.Common.DbException">The database is unavailable.</exception>
    public async ValueTask LoadCallerAsync(string keyId, string projectId, CancellationToken cancellationToken)
    {
        // A revoked key stays revoked; only a key that is not in the snapshot may be new.
        if (CallerOf(keyId, projectId) is not null || snapshots.Current?.FindKey(keyId) is not null) return;
        await snapshots.RefreshAsync(cancellationToken);
    }

    /// <summary>The caller of a key. A key that expired after its job was accepted is still valid for it; a revoked key is not.</summary>
    public Caller? CallerOf(string keyId, string projectId)
    {
        if (adminKey.Caller.KeyId == keyId) return adminKey.Caller;
        if (clientKey.Caller.KeyId == keyId) return clientKey.IsSet ? clientKey.Caller : null;
        if (applicationCallers.Find(keyId, projectId) is { } known) return known;
        if (tokenCallers.Find(keyId, projectId) is { } named) return named;
        return snapshots.Current?.FindKey(keyId) is { RevokedAt: null } secret ? secret.Caller : null;
    }
}
