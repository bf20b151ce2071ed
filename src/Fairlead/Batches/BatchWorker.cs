using System.Collections.Concurrent;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Files;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Batches;

/// <summary>
/// Advances batches step by step: checks their lines, hands them to the queue, ends them. Every step is in the database before the next, so
/// that any node can continue where another one stopped.
/// </summary>
internal sealed class BatchWorker(
    BatchStore store,
    IFileContents contents,
    BatchFeeder feeder,
    DialectRegistry dialects,
    BatchAssembler assembler,
    GenerationEndFactory ends,
    CallerSnapshots snapshots,
    DrainState drain,
    IStorage storage,
    IConfigurationSource configuration,
    TimeProvider time,
    ILogger<BatchWorker> logger) : BackgroundService
{
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Forgetting = TimeSpan.FromHours(1);
    private static readonly TimeSpan Trouble = TimeSpan.FromSeconds(30);

    /// <summary>Longer than a statement whose response was lost can take.</summary>
    private static readonly TimeSpan DisownedFor = TimeSpan.FromMinutes(2);

    private readonly string _owner = Ids.New("node_", time);
    private readonly AsyncSignal _wake = new();

    /// <summary>Batches whose clients got an error, but which may exist in the database.</summary>
    private readonly ConcurrentDictionary<string, long> _disowned = new(StringComparer.Ordinal);
    private DateTimeOffset _forgotten;

    /// <summary>There is new work.</summary>
    public void Wake() => _wake.Set();

    /// <summary>
    /// The client gets the error that there is no batch: if the database has it, it is cancelled as soon as the database is available.
    /// </summary>
    public void Disown(BatchRecord batch) => _disowned[batch.Id] = time.GetTimestamp();

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var notices = storage.Notifier.Subscribe(BatchNotices.Changed, _ => Wake());
        var released = storage.Provider != StorageProvider.Sqlite;
        while (!stoppingToken.IsCancellationRequested)
        {
            var wake = _wake.Next;
            try
            {
                if (!released)
                {
                    await store.ReleaseAllAsync(stoppingToken);
                    released = true;
                }
                await CancelDisownedAsync(stoppingToken);
                if (!drain.IsDraining && snapshots.Current is not null) await StepAllAsync(stoppingToken);
                await wake.WaitAsync(Look, time, stoppingToken);
            }
            catch (TimeoutException)
            {
                // Time for a poll without a notification.
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception)
            {
                // Nothing is lost: rows and leases remain.
                BatchesLog.StoreUnavailable(logger, StorageErrors.IsStoreError(exception) ? StorageErrors.Describe(exception)
                    : exception.ToString());
                await Task.Delay(Look, time, CancellationToken.None);
            }
        }
    }

    private async Task CancelDisownedAsync(CancellationToken cancellationToken)
    {
        foreach (var (id, since) in _disowned)
        {
            if (await store.DisownAsync(id, cancellationToken)) storage.Notifier.Announce(BatchNotices.Changed, id);
            else if (time.GetElapsedTime(since) <= DisownedFor) continue;
            _disowned.TryRemove(id, out _);
        }
    }

    private async Task StepAllAsync(CancellationToken cancellationToken)
    {
        while (!drain.IsDraining && await store.LeaseAsync(_owner, Lease, 1, cancellationToken) is [var batch])
        {
            var pause = Trouble;
            try
            {
                pause = await StepAsync(batch, cancellationToken);
            }
            catch (Exception exception) when (exception is not OperationCanceledException && !StorageErrors.IsStoreError(exception))
            {
                // A batch that fails to advance must not block the others.
                BatchesLog.StepFailed(logger, batch.Id, exception);
            }
            finally
            {
                // Not the host's token: another node, or the next start, continues a released batch at once.
                await store.ReleaseAsync(batch.Id, _owner, pause, CancellationToken.None);
            }
        }
        var now = time.GetUtcNow();
        if (now - _forgotten < Forgetting) return;
        await store.ForgetAsync(now - BatchLimits.Retention, cancellationToken);
        _forgotten = now;
    }

    /// <summary>Advances as far as possible; returns how long to wait.</summary>
    private async Task<TimeSpan> StepAsync(BatchRecord batch, CancellationToken cancellationToken)
    {
        Func<Task> alive = () => RenewAsync(batch.Id, cancellationToken);
        if (batch.Status == BatchStatus.Validating)
        {
            if (await CheckAsync(batch, alive, cancellationToken) is not { } begun) return Look;
            batch = begun;
        }
        if (batch.Status == BatchStatus.InProgress)
        {
            var open = await store.OpenLinesAsync(batch.Id, cancellationToken);
            string ending;
            if (time.GetUtcNow() >= batch.ExpiresAt)
            {
                ending = BatchStatus.Expired;
            }
            else
            {
                if (batch.FedLines < batch.Total)
                {
                    var pause = open < BatchFeeder.MaxOpen / 2 ? await feeder.FeedAsync(batch, _owner, open, alive, cancellationToken)
                        : null;
                    return pause > Look ? pause.Value : Look;
                }
                if (open > 0) return Look;
                ending = BatchStatus.Completed;
            }
            if (!await store.FinalizeAsync(batch.Id, _owner, ending, cancellationToken)) return Look;
            batch = batch with { Status = BatchStatus.Finalizing, Ending = ending, FinalizingAt = time.GetUtcNow() };
        }
        if (!await StopLinesAsync(batch, cancellationToken)) return Look;
        await assembler.AssembleAsync(batch, _owner, alive, cancellationToken);
        return Look;
    }

    private TimeSpan Lease => configuration.Current.Jobs.Lease;

    private async Task<BatchRecord?> CheckAsync(BatchRecord batch, Func<Task> alive, CancellationToken cancellationToken)
    {
        IReadOnlyList<BatchError> faults;
        var (total, model) = (0, "");
        try
        {
            var found = await BatchCheck.ReadAsync(contents, batch.InputFileId, batch.Endpoint,
                BatchLimits.MaxLineBytes(configuration.Current.Requests), alive, cancellationToken);
            (total, model, faults) = (found.Total, found.Model, found.Faults);
            if (faults.Count == 0 && await feeder.TryModelAsync(batch, model, found.FirstBody, cancellationToken) is { } unknown)
                faults = [unknown];
        }
        catch (FileNotFoundException)
        {
            faults = [new BatchError("invalid_file", "The content of the input file no longer exists.", "input_file_id", null)];
        }
        if (faults.Count > 0)
        {
            await store.EndAsync(batch with { Status = BatchStatus.Failed, Errors = faults, EndedAt = time.GetUtcNow() }, _owner, [],
                cancellationToken);
            return null;
        }
        if (!await store.BeginAsync(batch.Id, _owner, total, model, cancellationToken)) return null;
        batch = batch with { Total = total, Model = model, InProgressAt = time.GetUtcNow() };
        return await store.IsCancellingAsync(batch.Id, cancellationToken)
            ? batch with { Status = BatchStatus.Cancelling, Ending = BatchStatus.Cancelled }
            : batch with { Status = BatchStatus.InProgress };
    }

    /// <summary>Ends all open lines; false while some still run.</summary>
    private async Task<bool> StopLinesAsync(BatchRecord batch, CancellationToken cancellationToken)
    {
        if (await store.OpenLinesAsync(batch.Id, cancellationToken) == 0) return true;
        var (outcome, error) = CallOutcome.Of(CancellationReason.Requested);
        var (ended, running) = await store.StopLinesAsync(batch.Id,
            ends.LineWithoutRun(dialects.At(batch.Endpoint).Name, batch.Id, outcome, error), cancellationToken);
        foreach (var id in ended) storage.Notifier.Announce(JobNotices.Changed, id);
        foreach (var id in running) storage.Notifier.Announce(JobNotices.Cancel, id);
        return running.Count == 0;
    }

    private async Task RenewAsync(string id, CancellationToken cancellationToken) =>
        await store.RenewAsync(id, _owner, Lease, cancellationToken);
}

/// <summary>Channel of the database's notifications.</summary>
internal static class BatchNotices
{
    /// <summary>A batch, by its id, was created or cancelled.</summary>
    public const string Changed = "batches";
}
