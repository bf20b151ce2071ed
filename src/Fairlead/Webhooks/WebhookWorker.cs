using System.Collections.Concurrent;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Providers.Simulated;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Webhooks;

/// <summary>
/// Sends due deliveries, at most <see cref="MaxAtOnce"/> at a time. Whatever happens to this process, a delivery is either recorded as
/// made or taken up again when its lease expires.
/// </summary>
internal sealed class WebhookWorker(IStorage storage, WebhookStore webhooks, WebhookDeliveryStore deliveries, WebhookSender sender,
    TimeProvider time, ILogger<WebhookWorker> logger) : BackgroundService
{
    public const int MaxAtOnce = 64;

    /// <summary>Maximum of these at receivers whose last attempt failed: they may well hang until the timeout.</summary>
    public const int MaxFailingAtOnce = MaxAtOnce / 2;

    /// <summary>Renewed while attempts run: how long the lease of a crashed node blocks the webhooks for others.</summary>
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(15);

    /// <summary>How long deliveries and their history are stored.</summary>
    public static readonly TimeSpan Retention = TimeSpan.FromDays(30);

    // Notifications may be lost, and pauses end without one.
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Sweep = TimeSpan.FromHours(1);
    private static readonly TimeSpan StorePause = TimeSpan.FromMilliseconds(500);

    // How long the result of an attempt waits for the database. While it is unavailable no other node takes the delivery either.
    private static readonly TimeSpan NotePatience = TimeSpan.FromSeconds(90);

    private readonly string _owner = Guid.NewGuid().ToString("N");
    private readonly ConcurrentDictionary<string, (Task Attempt, bool AtFailing)> _running = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();
    private TaskCompletionSource _wake = NewSignal();
    private DateTimeOffset _swept;
    private readonly SteadyClock _clock = new(time);
    private DateTimeOffset _renewed;

    /// <summary>Looks for work now instead of at the next poll.</summary>
    public void Wake()
    {
        lock (_gate) _wake.TrySetResult();
    }

    /// <summary>Sends what is due now and returns when the results are recorded; not while the worker itself runs.</summary>
    internal async Task DeliverDueAsync(CancellationToken cancellationToken)
    {
        await FillAsync(cancellationToken);
        await Task.WhenAll(_running.Values.Select(running => running.Attempt));
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // The host continues its start; the database may not be available yet.
        await Task.Yield();
        using var notices = storage.Notifier.Subscribe(WebhookOutbox.Channel, _ => Wake());
        // On SQLite there is no other process: a leased delivery belonged to a stopped one.
        var released = storage.Provider != StorageProvider.Sqlite;
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                if (!released)
                {
                    await deliveries.ReleaseAllAsync(stoppingToken);
                    released = true;
                }
                await RenewAsync(stoppingToken);
                await FillAsync(stoppingToken);
                await SweepAsync(stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                break;
            }
            catch (Exception exception)
            {
                // Nothing is lost: rows and leases remain, and the next poll is a second later.
                WebhooksLog.StoreUnavailable(logger, StorageErrors.IsStoreError(exception) ? StorageErrors.Describe(exception)
                    : exception.ToString());
            }
            await WaitAsync(stoppingToken);
        }
        await Task.WhenAll(_running.Values.Select(running => running.Attempt));
    }

    private async Task RenewAsync(CancellationToken stoppingToken)
    {
        var now = _clock.Latest;
        if (now - _renewed < Lease / 3) return;
        if (!_running.IsEmpty) await deliveries.RenewAsync(_owner, [.. _running.Keys], now + Lease, stoppingToken);
        _renewed = now;
    }

    private async Task FillAsync(CancellationToken stoppingToken)
    {
        var room = MaxAtOnce - _running.Count;
        if (room <= 0) return;
        // A clock that is set back must not delay what is due.
        var now = _clock.Latest;
        var roomOfFailing = MaxFailingAtOnce - _running.Values.Count(running => running.AtFailing);
        var taken = await deliveries.LeaseAsync(_owner, now, now + Lease, room, Math.Max(0, roomOfFailing), stoppingToken);
        foreach (var (delivery, webhook) in taken)
        {
            var attempt = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _running[delivery.Id] = (attempt.Task, delivery.Url is null && webhook.FailingSince is not null);
            _ = DeliverAsync(delivery, webhook, attempt, stoppingToken);
        }
    }

    private async Task DeliverAsync(WebhookDelivery delivery, Webhook webhook, TaskCompletionSource ended, CancellationToken stoppingToken)
    {
        try
        {
            var at = time.GetUtcNow();
            WebhookResult result;
            try
            {
                result = await sender.SendAsync(webhook, delivery, stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                await deliveries.ReturnAsync(_owner, delivery.Id, CancellationToken.None);
                return;
            }
            var pause = result.Succeeded ? null : WebhookSchedule.PauseAfter(delivery.Step + 1, result, Random.Shared.NextDouble);
            var note = await NoteAsync(delivery, webhook, at, result, pause, stoppingToken);
            if (note.Status is null) WebhooksLog.LeaseLost(logger, delivery.Id);
            if (note.DisabledTheWebhook)
            {
                WebhooksLog.Disabled(logger, webhook.Id, webhook.OwnerId, result.IsGone ? "its receiver no longer exists"
                    : "no delivery succeeded for days");
            }

            if (note.Status == WebhookDeliveryStatus.Dead)
            {
                WebhooksLog.GivenUp(logger, delivery.Id, delivery.WebhookId, delivery.Attempts + 1, result.StatusCode?.ToString(null, null)
                    ?? result.Error);
            }
        }
        catch (Exception exception)
        {
            // The lease expires and the delivery is sent again.
            WebhooksLog.NotRecorded(logger, delivery.Id, StorageErrors.IsStoreError(exception) ? StorageErrors.Describe(exception)
                : exception.ToString());
        }
        finally
        {
            _running.TryRemove(delivery.Id, out _);
            ended.SetResult();
            Wake();
        }
    }

    /// <summary>Waits for the database, because the result of a delivery is worth it.</summary>
    private async Task<WebhookNote> NoteAsync(WebhookDelivery delivery, Webhook webhook, DateTimeOffset at, WebhookResult result,
        TimeSpan? pause, CancellationToken stoppingToken)
    {
        var since = time.GetTimestamp();
        while (true)
        {
            try
            {
                return await deliveries.NoteAsync(_owner, delivery, webhook, at, _clock.Latest, result, pause, CancellationToken.None);
            }
            catch (Exception exception) when (StorageErrors.IsStoreError(exception) && time.GetElapsedTime(since) < NotePatience
                && !stoppingToken.IsCancellationRequested)
            {
                WebhooksLog.StoreUnavailable(logger, StorageErrors.Describe(exception));
            }
            await Task.Delay(StorePause, time, stoppingToken);
        }
    }

    private async Task SweepAsync(CancellationToken stoppingToken)
    {
        var now = time.GetUtcNow();
        if (now - _swept < Sweep) return;
        // In portions, so that no other writer waits long for the write lock; the rest at the next poll.
        if (await deliveries.ForgetAsync(now - Retention, stoppingToken) > 0) return;
        await webhooks.ForgetOrphansAsync(stoppingToken);
        _swept = now;
    }

    private async Task WaitAsync(CancellationToken stoppingToken)
    {
        Task signal;
        lock (_gate) signal = _wake.Task;
        try
        {
            await signal.WaitAsync(Look, time, stoppingToken);
        }
        catch (Exception exception) when (exception is TimeoutException or OperationCanceledException)
        {
            return;
        }
        lock (_gate) _wake = NewSignal();
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
