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

    private const int MaxFailures = 10;

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
            var isLast = row.Failures + 1 >= MaxFailures && !StorageErrors.IsUnavailable(failure) && !StorageErrors.IsCollision(failure);
            var pause = TimeSpan.FromSeconds(Math.Min(MaxPause.TotalSeconds, Math.Pow(2, row.Failures)));
            _logger.ErasureFailed(failure, row.Id, row.Step, isLast);
            await _queue.FailAsync(row, _owner, isLast ? null : pause, failure.GetType().Name, cancellationToken);
        }
        return true;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        using var notices = _storage.Notifier.Subscribe(Channel, _ => _wake.TrySetResult());
        var isReleased = _storage.Provider != StorageProvider.Sqlite;
        var isFailing = false;
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                if (!isReleased)
                {
                    // The process before this one may have been killed with its lease.
                    await _queue.ReleaseAllAsync(stoppingToken);
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
        var target = new ErasureTarget(row, () => _queue.RenewAsync(row.Id, _owner, Lease, cancellationToken));
        if (row.Step == Cleanup) return await CleanAsync(row, target, cancellationToken);

        var source = Array.FindIndex(_sources, source => "find:" + source.Name == row.Step);
        if (row.Step.Length == 0) source = 0;
        if (source >= 0 && source < _sources.Length)
        {
            var found = await _sources[source].FindAsync(target, row.Cursor, cancellationToken);
            var after = source + 1 < _sources.Length ? "find:" + _sources[source + 1].Name : AfterSources;
            var place = found.Next is null ? (Step: after, Cursor: "") : (Step: "find:" + _sources[source].Name, Cursor: found.Next);
            return await AdvanceAsync(row, place.Step, place.Cursor, found.Calls, null, cancellationToken);
        }

        var store = row.Step == AfterSources ? 0 : Array.FindIndex(_stores, store => store.Name == row.Step);
        if (store < 0 || _stores.Length == 0) return await AdvanceAsync(row, Cleanup, "", [], null, cancellationToken);
        var step = await _stores[store].EraseAsync(target, row.Cursor, cancellationToken);
        var (name, cursor) = step.Next is { } next ? (_stores[store].Name, next)
            : (store + 1 < _stores.Length ? _stores[store + 1].Name : Cleanup, "");
        var advanced = await AdvanceAsync(row, name, cursor, [], (_stores[store].Name, step.Count), cancellationToken);
        if (advanced is null || step.Pause == default) return advanced;
        await _queue.ReleaseAsync(row.Id, _owner, step.Pause, cancellationToken);
        return null;
    }

    private async Task<ErasureRow?> AdvanceAsync(
        ErasureRow row, string step, string cursor, IReadOnlyList<FoundCall> found, (string, int)? erased, CancellationToken cancellationToken) =>
        await _queue.AdvanceAsync(row, _owner, Lease, step, cursor, found, erased, cancellationToken)
            ? row with { Step = step, Cursor = cursor, Failures = 0 } : null;

    private async Task<ErasureRow?> CleanAsync(ErasureRow row, ErasureTarget target, CancellationToken cancellationToken)
    {
        await _cleaning.CleanAsync(
            _stores.SelectMany(store => store.Tables).Append("erasures"), target.KeepAliveAsync, cancellationToken);
        if (await _queue.CompleteAsync(row, _owner, AfterSources, cancellationToken)) _logger.ErasureCompleted(row.Id);
        return null;
    }
}
