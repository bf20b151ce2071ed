using System.Globalization;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Delivery;

/// <summary>
/// Stores new generations that outlive their request. If the store is unavailable, none of them is accepted, and one that was stored
/// nevertheless is ended by <see cref="DisownedGenerations.Disown"/>. Thread-safe.
/// </summary>
/// <remarks>No statement here has the token of the client: a client that leaves has a job or none, but never half of one.</remarks>
internal sealed class AcceptedJobs(
    IGenerationInserter generations,
    IStorage storage,
    NodeLeases leases,
    RunFinisher finisher,
    DisownedGenerations disowned,
    JobSignal signal,
    HeldReservations held,
    IConfigurationSource configuration,
    TimeProvider time,
    ILogger<AcceptedJobs> logger)
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);

    /// <summary>Puts the call into the queue and hands it over. Returns the error if it was not accepted.</summary>
    public async Task<GatewayError?> QueueAsync(GatewayCall call, GenerationRecord record)
    {
        // Before the job is stored: another node may start it at once.
        held.Keep(record.Id, call.Reservation);
        record = record with { Hold = JobHold.Of(call.Reservation) };
        var limits = configuration.Current.Jobs;
        var isQueued = false;
        var unavailable = Unavailable("The job cannot be stored now, so it was not accepted.");
        var error = await StoreAsync(
            record,
            async () => isQueued = await generations.TryQueueAsync(
                record, new QueueLimits(limits.MaxQueuedPerProject, limits.MaxQueuedBytesPerProject), CancellationToken.None),
            unavailable);
        if (error is null && !isQueued) error = Full(limits);
        if (error is not null)
        {
            // The call itself settles its reservation.
            held.Take(record.Id);
            return error;
        }
        call.Reservation = null;
        call.HandedOver = true;
        signal.Wake();
        storage.Notifier.Announce(JobNotices.Queued, record.Id);
        return null;
    }

    /// <summary>Puts a generation into the queue that this process cannot finish, because it stops. Returns whether it is there.</summary>
    public async Task<bool> TryHandOnAsync(GenerationRecord queued)
    {
        var lost = new GatewayError(ErrorCode.StoreUnavailable, "The server stopped, and the generation could not be stored.");
        var error = await StoreAsync(queued, () => generations.AddAsync(queued, null, TimeSpan.Zero, CancellationToken.None), lost);
        if (error is not null) return false;
        storage.Notifier.Announce(JobNotices.Queued, queued.Id);
        return true;
    }

    /// <summary>
    /// Stores a generation that this process runs, and renews its lease from then on. The caller starts the run, if it has not started
    /// yet, and then calls <see cref="FinishInStoreAsync"/>.
    /// </summary>
    /// <returns>Null, or <paramref name="unavailable"/> if the store is unavailable.</returns>
    public async Task<GatewayError?> AddRunAsync(GenerationRun run, GenerationRecord record, GatewayError unavailable)
    {
        var (askedAt, lease) = (time.GetTimestamp(), leases.Length);
        record = record with { Hold = JobHold.Of(run.Call.Reservation) ?? record.Hold };
        if (await StoreAsync(record, () => generations.AddAsync(record, leases.Owner, lease, CancellationToken.None), unavailable)
            is { } error)
        {
            return error;
        }
        leases.Adopt(run, record, askedAt, lease);
        return null;
    }

    /// <summary>Stores the result of the run when it has ended, and disposes it. Never throws.</summary>
    public Task FinishInStoreAsync(GenerationRun run, GenerationRecord record) => finisher.FinishAsync(run, record with { Request = [] });

    public static GatewayError Unavailable(string message) => new(ErrorCode.StoreUnavailable, message) { RetryAfter = RetryAfter };

    private async Task<GatewayError?> StoreAsync(GenerationRecord record, Func<Task> write, GatewayError unavailable)
    {
        try
        {
            await write();
            return null;
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            JobsLog.StoreUnavailable(logger, StorageErrors.Describe(exception));
            if (exception is UnknownCommitException) disowned.Disown(record, unavailable);
            return unavailable;
        }
    }

    private static GatewayError Full(JobsConfig limits)
    {
        var message = string.Create(
            CultureInfo.InvariantCulture,
            $"The project's queue is full: {limits.MaxQueuedPerProject:N0} jobs may wait, "
            + $"with requests of {limits.MaxQueuedBytesPerProject:N0} bytes together.");
        return new GatewayError(ErrorCode.QueueFull, message) { RetryAfter = RetryAfter };
    }
}
