using System.Collections.Concurrent;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Providers.Simulated;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Webhooks;

/// <summary>
/// Delivers what is due, at most <see cref="MostAtOnce"/> at a time. Whatever happens to this process, a delivery is either noted as made or
/// taken up again when its lease has run out.
/// </summary>
internal sealed class WebhookWorker(IStorage storage, WebhookStore webhooks, WebhookDeliveryStore deliveries, WebhookSender sender, TimeProvider time, ILogger<WebhookWorker> logger) : BackgroundService
{
    public const int MostAtOnce = 64;

    /// <summary>Of these at most so many at receivers whose last attempt failed: they may well hang until the timeout.</summary>
    public const int MostFailingAtOnce = MostAtOnce / 2;

    /// <summary>Renewed while attempts are under way: how long those of a node that died keep others from their webhooks.</summary>
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(15);

    /// <summary>How long deliveries and their history are kept.</summary>
    public static readonly TimeSpan Retention = TimeSpan.FromDays(30);

    // Notices may be lost, and pauses end without one.
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Sweep = TimeSpan.FromHours(1);
    private static readonly TimeSpan StorePause = TimeSpan.FromMilliseconds(500);

    // How long what an attempt brought waits for the database. While that is away nobody else takes the delivery either.
    private static readonly TimeSpan NotePatience = TimeSpan.FromSeconds(90);

    private readonly string _owner = Guid.NewGuid().ToString("N");
    private readonly ConcurrentDictionary<string, (Task Attempt, bool AtFailing)> _running = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();
    private TaskCompletionSource _wake = NewSignal();
    private DateTimeOffset _swept;
    private readonly SteadyClock _clock = new(time);
    private DateTimeOffset _renewed;

    /// <summary>Looks for work now instead of at the next look.</summary>
    public void Wake()
    {
        lock (_gate) _wake.TrySetResult();
    }

    /// <summary>Delivers what is due now and returns when that has been noted; not while the worker itself runs.</summary>
    internal async Task DeliverDueAsync(CancellationToken cancellationToken)
    {
        await FillAsync(cancellationToken);
        await Task.WhenAll(_running.Values.Select(running => running.Attempt));
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // The host goes on with its start; the database may still be on its way.
        await Task.Yield();
        using var notices = storage.Notifier.Subscribe(WebhookOutbox.Channel, _ => Wake());
        // On SQLite there is no other process: what is leased belonged to one that is gone.
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
                // Nothing is lost: rows and leases stand, and the next look is a second away.
                WebhooksLog.StoreAway(logger, StorageFaults.IsStoreFault(exception) ? StorageFaults.Describe(exception) : exception.ToString());
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
        var room = MostAtOnce - _running.Count;
        if (room <= 0) return;
        // A clock that is set back must not keep waiting what is due.
        var now = _clock.Latest;
        var roomOfFailing = MostFailingAtOnce - _running.Values.Count(running => running.AtFailing);
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
            if (note.DisabledTheWebhook) WebhooksLog.Disabled(logger, webhook.Id, webhook.ProjectId, result.IsGone ? "its receiver is gone" : "nothing reached it for days");
            if (note.Status == WebhookDeliveryStatus.Dead) WebhooksLog.GivenUp(logger, delivery.Id, delivery.WebhookId, delivery.Attempts + 1, result.StatusCode?.ToString(null, null) ?? result.Error);
        }
        catch (Exception exception)
        {
            // The lease runs out and the delivery is made again.
            WebhooksLog.NotNoted(logger, delivery.Id, StorageFaults.IsStoreFault(exception) ? StorageFaults.Describe(exception) : exception.ToString());
        }
        finally
        {
            _running.TryRemove(delivery.Id, out _);
            ended.SetResult();
            Wake();
        }
    }

    /// <summary>What was delivered is worth waiting for the database.</summary>
    private async Task<WebhookNote> NoteAsync(WebhookDelivery delivery, Webhook webhook, DateTimeOffset at, WebhookResult result, TimeSpan? pause, CancellationToken stoppingToken)
    {
        var since = time.GetTimestamp();
        while (true)
        {
            try
            {
                return await deliveries.NoteAsync(_owner, delivery, webhook, at, _clock.Latest, result, pause, CancellationToken.None);
            }
            catch (Exception exception) when (StorageFaults.IsStoreFault(exception) && time.GetElapsedTime(since) < NotePatience && !stoppingToken.IsCancellationRequested)
            {
                WebhooksLog.StoreAway(logger, StorageFaults.Describe(exception));
            }
            await Task.Delay(StorePause, time, stoppingToken);
        }
    }

    private async Task SweepAsync(CancellationToken stoppingToken)
    {
        var now = time.GetUtcNow();
        if (now - _swept < Sweep) return;
        // In pieces, so that nobody waits long for the write lock; the rest at the next look.
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
