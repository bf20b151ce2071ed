using System.Threading.Channels;
using Fairlead.Auditing.Ledger;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Limits.Budgets;

/// <summary>
/// Returns what this process does not use: when another node asks, when it has been idle, and at the end. Shows that the process is alive,
/// and writes off those that are not. An unavailable database delays all this; nothing is lost.
/// </summary>
/// <remarks>Registered before <see cref="LedgerShipper"/>, so that it stops after the last calls are in the ledger.</remarks>
internal sealed class BudgetLeaseKeeper(
    IStorage storage,
    BudgetHolder holder,
    BudgetHolders holders,
    BudgetReturns returns,
    BudgetReports reports,
    LeasedBudgets budgets,
    LedgerShipper shipper,
    BudgetLeaseOptions options,
    TimeProvider time,
    ILogger<BudgetLeaseKeeper> logger,
    IBudgetSlices? slices = null) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan CleanInterval = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan MaxRelease = TimeSpan.FromSeconds(5);

    private readonly Channel<BudgetKey> _asks = Channel.CreateUnbounded<BudgetKey>();
    private bool _isFailing;

    /// <summary>Returns what is unused, after the ledger has the last calls.</summary>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        if (budgets.IsEmpty) return;
        if (!shipper.HasShippedAll)
        {
            logger.LeasesKept();
            return;
        }
        using var limit = new CancellationTokenSource(MaxRelease, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            await holders.ReleaseAsync(both.Token);
        }
        catch (Exception e) when (StorageErrors.IsStoreError(e) || e is OperationCanceledException)
        {
            logger.LeasesKept();
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        using var subscription = storage.Notifier.Subscribe(BudgetNotices.Ask, Receive);
        try
        {
            await Task.WhenAll(RespondAsync(stoppingToken), TickAsync(stoppingToken));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    private void Receive(string? subject)
    {
        if (BudgetNotices.TryRead(subject, out var sender, out var key) && sender != holder.ToString() && budgets.Contains(key.Value))
            _asks.Writer.TryWrite(key.Value);
    }

    private async Task RespondAsync(CancellationToken stoppingToken)
    {
        var asked = new HashSet<BudgetKey>();
        while (await _asks.Reader.WaitToReadAsync(stoppingToken))
        {
            asked.Clear();
            while (_asks.Reader.TryRead(out var key)) asked.Add(key);
            foreach (var key in asked) returns.Add(key, slices?.TakeUnused(key) ?? 0);
            // No response while the database is unavailable: the amounts wait, and nobody else could use them.
            if (!await TryAsync(async () => await returns.FlushAsync(stoppingToken))) continue;
            foreach (var key in asked) storage.Notifier.Announce(BudgetNotices.Returned, BudgetNotices.Write(holder, key));
        }
    }

    private async Task TickAsync(CancellationToken stoppingToken)
    {
        long? beatAt = null;
        long? cleanedAt = null;
        while (true)
        {
            foreach (var (key, amount) in slices?.TakeIdle(options.IdleAfter) ?? []) returns.Add(key, amount);
            // Without budgets the database is left alone.
            if (!budgets.IsEmpty || returns.Added.IsCompleted) await TryAsync(async () =>
            {
                await returns.FlushAsync(stoppingToken);
                if (beatAt is not null && time.GetElapsedTime(beatAt.Value) < Interval / 2) return;
                beatAt = time.GetTimestamp();
                await holders.BeatAsync(reports.Text, stoppingToken);
                await reports.WriteAsync(stoppingToken);
                foreach (var lost in await holders.WriteOffAsync(stoppingToken)) logger.LeaseWrittenOff(lost.Node, options.WriteOffAfter());
                if (cleanedAt is not null && time.GetElapsedTime(cleanedAt.Value) < CleanInterval) return;
                await holders.CleanAsync(stoppingToken);
                if (shipper.Replayed.IsCompleted) await holders.ReleaseReplayedAsync(stoppingToken);
                cleanedAt = time.GetTimestamp();
            });
            using var timer = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
            var tick = Task.Delay(Interval, time, timer.Token);
            // Returns that were added by callers are written at once, unless the database has just failed.
            await (_isFailing ? tick : Task.WhenAny(returns.Added, tick));
            await timer.CancelAsync();
            stoppingToken.ThrowIfCancellationRequested();
        }
    }

    private async Task<bool> TryAsync(Func<Task> work)
    {
        try
        {
            await work();
            if (_isFailing) logger.LeasesAvailable();
            _isFailing = false;
            return true;
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            if (!_isFailing) logger.LeasesUnavailable(StorageErrors.Describe(e));
            _isFailing = true;
            return false;
        }
    }
}
