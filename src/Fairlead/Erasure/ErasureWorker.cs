using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Erasure;

/// <summary>
/// Runs erasures, one portion after another: first the sources find the calls, then each store erases what belongs to them, then the
/// database files are cleaned. After each portion the place is in the database, so any node continues after a crash.
/// </summary>
internal sealed class ErasureWorker : BackgroundService
{
    /// <summary>The step after the sources, with which an erasure starts that has new calls already.</summary>
    public const string AfterSources = "stores";

    /// <summary>Channel on which nodes notify each other of new erasures.</summary>
    public const string Channel = "erasures";

    internal const string Cleanup = "cleanup";

    /// <summary>The step of an erasure whose files could not be cleaned.</summary>
    private const string Done = "done";

    /// <summary>After so many failures of a part, the others go on without it.</summary>
    private const int MaxFailures = 10;

    /// <summary>The same for a part that needs something beside the database, which may be away for days: about seven seconds.</summary>
    private const int MaxOutages = 3;

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>Longer than any portion between two renewals.</summary>
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan MaxPause = TimeSpan.FromMinutes(1);

    private readonly IStorage _storage;
    private readonly ErasureQueue _queue;
    private readonly ErasureCleaning _cleaning;
    private readonly IErasureSource[] _sources;
    private readonly IErasable[] _stores;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly string _owner = Guid.NewGuid().ToString("N");
    private volatile TaskCompletionSource _wake = NewSource();

    public ErasureWorker(
        IStorage storage, ErasureQueue queue, ErasureCleaning cleaning, IEnumerable<IErasureSource> sources, IEnumerable<IErasable> stores,
        TimeProvider time, ILogger<ErasureWorker> logger)
    {
        (_storage, _queue, _cleaning, _time, _logger) = (storage, queue, cleaning, time, logger);
        _sources = [.. sources.OrderBy(source => source.Name, StringComparer.Ordinal)];
        _stores = [.. stores.OrderBy(store => store.Order)];
    }

    /// <summary>Works on the oldest erasure that is due until it is completed or has to wait. False if there is none.</summary>
    internal async Task<bool> RunAsync(CancellationToken cancellationToken)
    {
        if (await _queue.LeaseAsync(_owner, Lease, cancellationToken) is not { } row) return false;
        try
        {
            while (await StepAsync(row, cancellationToken) is { } next) row = next;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            await _queue.ReleaseAsync(row.Id, _owner, TimeSpan.Zero, CancellationToken.None);
            throw;
        }
        catch (Exception failure)
        {
            await FailAsync(row, failure, cancellationToken);
        }
        return true;
    }

    // Without the database nothing goes on, so that is waited for. A store that something else keeps from working is left out of this round
    // and is tried again in the next. Any other failure is a fault: that part is given up in the end, and the erasure fails when the others
    // are done.
    private async Task FailAsync(ErasureRow row, Exception failure, CancellationToken cancellationToken)
    {
        var isDatabase = StorageErrors.IsUnavailable(failure) || StorageErrors.IsCollision(failure);
        var isOutage = failure is IOException or TimeoutException or UnauthorizedAccessException;
        var next = isDatabase || row.Failures + 1 < (isOutage ? MaxOutages : MaxFailures) ? null : After(row.Step, isOutage);
        _logger.ErasureFailed(failure, row.Id, row.Step, next is not null && !isOutage);
        if (next is not null)
        {
            await _queue.SkipAsync(
                row, _owner, next, isOutage ? NameOf(row.Step) : null, isOutage ? null : failure.GetType().Name, cancellationToken);
            return;
        }
        var pause = TimeSpan.FromSeconds(Math.Min(MaxPause.TotalSeconds, Math.Pow(2, Math.Min(row.Failures, 10))));
        await _queue.FailAsync(row, _owner, pause, cancellationToken);
    }

    private string NameOf(string step) => step == AfterSources ? _stores[0].Name : step;

    // The part that follows. Null if there is none that could do without this one.
    private string? After(string step, bool isOutage)
    {
        if (Array.FindIndex(_stores, store => store.Name == step) is >= 0 and var store)
            return store + 1 < _stores.Length ? _stores[store + 1].Name : Cleanup;
        if (step == AfterSources) return _stores.Length > 1 ? _stores[1].Name : Cleanup;
        // What a source would have found is not known to the stores, so it is only left out if it will never work.
        if (isOutage || step is Cleanup or Done) return isOutage ? null : Done;
        var source = step.Length == 0 ? 0 : Array.FindIndex(_sources, source => "find:" + source.Name == step);
        return source >= 0 && source + 1 < _sources.Length ? "find:" + _sources[source + 1].Name : AfterSources;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        using var notices = _storage.Notifier.Subscribe(Channel, _ => _wake.TrySetResult());
        var isReleased = false;
        var isFailing = false;
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                if (!isReleased)
                {
                    // The process before this one may have been killed with its lease.
                    if (_storage.Provider == StorageProvider.Sqlite) await _queue.ReleaseAllAsync(stoppingToken);
                    await _queue.ResumeFailedAsync(stoppingToken);
                    isReleased = true;
                }
                // Before the work: an erasure that is added during it is found at once.
                if (_wake.Task.IsCompleted) _wake = NewSource();
                while (await RunAsync(stoppingToken))
                {
                    // There may be another one.
                }
                isFailing = false;
                await _wake.Task.WaitAsync(Interval, _time, stoppingToken);
            }
            catch (TimeoutException)
            {
                // Another node may have added one.
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception failure)
            {
                // Once per outage.
                if (!isFailing) _logger.ErasuresUnavailable(failure);
                isFailing = true;
                await Task.Delay(Interval, _time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    // One portion. Null if there is nothing more to do now.
    private async Task<ErasureRow?> StepAsync(ErasureRow row, CancellationToken cancellationToken)
    {
        var target = new ErasureTarget(row, () => _queue.RenewAsync(row.Id, _owner, Lease, cancellationToken), _time);
        if (row.Step == Done) return await CompleteAsync(row, cancellationToken);
        if (row.Step == Cleanup) return await CleanAsync(row, target, cancellationToken);

        var source = Array.FindIndex(_sources, source => "find:" + source.Name == row.Step);
        if (row.Step.Length == 0)
        {
            if (_sources.Length == 0) return await AdvanceAsync(row, AfterSources, "", [], null, cancellationToken);
            source = 0;
        }
        if (source >= 0 && source < _sources.Length)
        {
            var found = await _sources[source].FindAsync(target, row.Cursor, cancellationToken);
            var after = source + 1 < _sources.Length ? "find:" + _sources[source + 1].Name : AfterSources;
            var place = found.Next is null ? (Step: after, Cursor: "") : (Step: "find:" + _sources[source].Name, Cursor: found.Next);
            return await AdvanceAsync(row, place.Step, place.Cursor, found.Calls, null, cancellationToken);
        }

        var store = row.Step == AfterSources ? 0 : Array.FindIndex(_stores, store => store.Name == row.Step);
        if (_stores.Length == 0) return await AdvanceAsync(row, Cleanup, "", [], null, cancellationToken);
        if (store < 0)
        {
            // A node of another version has it, and knows this part. Without it, nothing may be passed over.
            await _queue.ReleaseAsync(row.Id, _owner, MaxPause, cancellationToken);
            return null;
        }
        var step = await _stores[store].EraseAsync(target, row.Cursor, cancellationToken);
        var (name, cursor) = step.Next is { } next ? (_stores[store].Name, next)
            : (store + 1 < _stores.Length ? _stores[store + 1].Name : Cleanup, "");
        var advanced = await AdvanceAsync(row, name, cursor, [], (_stores[store].Name, step.Count), cancellationToken, step.LeftOut);
        if (advanced is null || step.Pause == default) return advanced;
        await _queue.ReleaseAsync(row.Id, _owner, step.Pause, cancellationToken);
        return null;
    }

    private async Task<ErasureRow?> AdvanceAsync(
        ErasureRow row, string step, string cursor, IReadOnlyList<FoundCall> found, (string, int)? erased, CancellationToken cancellationToken,
        string? leftOut = null) =>
        await _queue.AdvanceAsync(row, _owner, Lease, step, cursor, found, erased, cancellationToken, leftOut)
            ? row with { Step = step, Cursor = cursor, Failures = 0, WaitingFor = leftOut ?? (row.Step == AfterSources ? null : row.WaitingFor) } : null;

    private async Task<ErasureRow?> CleanAsync(ErasureRow row, ErasureTarget target, CancellationToken cancellationToken)
    {
        var tables = _stores.SelectMany(store => store.Tables).Append("erasures");
        if (!await _cleaning.CleanAsync(tables, target.KeepAliveAsync, cancellationToken))
            await _queue.NoteAsync(row.Id, ErasureRow.NotCleaned, cancellationToken);
        return await CompleteAsync(row, cancellationToken);
    }

    private async Task<ErasureRow?> CompleteAsync(ErasureRow row, CancellationToken cancellationToken)
    {
        if (await _queue.CompleteAsync(row, _owner, AfterSources, cancellationToken)) _logger.ErasureCompleted(row.Id);
        return null;
    }
}
