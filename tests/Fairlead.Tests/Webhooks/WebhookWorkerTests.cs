using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Fairlead.Webhooks;

namespace Fairlead.Tests.Webhooks;

public sealed class SqliteWebhookWorkerTests() : WebhookWorkerTests(StorageProvider.Sqlite);

public sealed class PostgresWebhookWorkerTests() : WebhookWorkerTests(StorageProvider.Postgres);

/// <summary>Deliveries over real connections, in a time that the test moves.</summary>
public abstract class WebhookWorkerTests : IAsyncLifetime
{
    private readonly WebhookFixture _fixture;
    private WebhookReceiver _receiver = null!;

    private protected WebhookWorkerTests(StorageProvider provider) => _fixture = new WebhookFixture(provider);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private string Url => _receiver.Url + "/hooks";

    public async ValueTask InitializeAsync() => _receiver = await WebhookReceiver.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await _receiver.DisposeAsync();
        _fixture.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Deliver_ReceiverAccepts_SendsSignedEventOnce()
    {
        var webhook = await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        await _fixture.Worker.DeliverDueAsync(Cancel);

        var seen = await _receiver.NextAsync(Cancel);
        var delivery = await _fixture.OnlyAsync();
        Assert.Equal((WebhookDeliveryStatus.Delivered, 1, 204), (delivery.Status, delivery.Attempts, delivery.LastStatusCode!.Value));
        Assert.Equal("/hooks", seen.Path);
        Assert.Equal(delivery.EventId, seen.Headers["webhook-id"]);
        Assert.DoesNotContain('.', seen.Headers["webhook-id"]);
        Assert.Equal("application/json", seen.Headers["content-type"]);
        Assert.DoesNotContain("traceparent", seen.Headers.Keys);
        var seconds = long.Parse(seen.Headers["webhook-timestamp"], null);
        Assert.Equal(_fixture.Time.GetUtcNow().ToUnixTimeSeconds(), seconds);
        Assert.Equal(webhook.Key.Sign(delivery.EventId, seconds, seen.Body), seen.Headers["webhook-signature"]);
        Assert.Equal(delivery.Payload, seen.Body);

        _fixture.Time.Advance(TimeSpan.FromDays(1));
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.False(_receiver.HasMore);
    }

    [Fact]
    public async Task Deliver_ReceiverAlwaysFails_FollowsScheduleThenGivesUpAndDisables()
    {
        _receiver.Answer = Status(500);
        var webhook = await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        double[] pauses = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
        for (var made = 1; ; made++)
        {
            await _fixture.Worker.DeliverDueAsync(Cancel);
            var seen = await _receiver.NextAsync(Cancel);
            var delivery = await _fixture.OnlyAsync();
            Assert.Equal(made, delivery.Attempts);
            Assert.Equal(delivery.EventId, seen.Headers["webhook-id"]);
            Assert.Equal(_fixture.Time.GetUtcNow().ToUnixTimeSeconds(), long.Parse(seen.Headers["webhook-timestamp"], null));
            if (made == WebhookSchedule.MaxAttempts) break;
            var pause = delivery.NextAt - _fixture.Time.GetUtcNow();
            Assert.InRange(pause.TotalSeconds, (pauses[made - 1] * 0.9) - 0.01, (pauses[made - 1] * 1.1) + 0.01);

            // Not a moment earlier.
            _fixture.Time.Advance(pause - TimeSpan.FromMilliseconds(2));
            await _fixture.Worker.DeliverDueAsync(Cancel);
            Assert.False(_receiver.HasMore);
            _fixture.Time.Advance(TimeSpan.FromMilliseconds(3));
        }
        var dead = await _fixture.OnlyAsync();
        Assert.Equal(WebhookDeliveryStatus.Dead, dead.Status);
        Assert.Equal(Enumerable.Range(1, 10), (await _fixture.Deliveries.HistoryAsync(dead.Id, Cancel)).Select(attempt => attempt.Number));
        var disabled = (await _fixture.Webhooks.FindAsync(WebhookFixture.Project, webhook.Id, Cancel))!;
        Assert.Equal((false, "failing"), (disabled.Enabled, disabled.DisabledReason));
    }

    [Fact]
    public async Task Deliver_SuccessAfterFailure_ClearsFailingSince()
    {
        _receiver.Answer = Status(500);
        var webhook = await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.NotNull((await _fixture.Webhooks.FindAsync(WebhookFixture.Project, webhook.Id, Cancel))!.FailingSince);
        _receiver.Answer = Status(200);
        _fixture.Time.Advance(TimeSpan.FromSeconds(6));
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.Equal((WebhookDeliveryStatus.Delivered, 2), ((await _fixture.OnlyAsync()).Status, (await _fixture.OnlyAsync()).Attempts));
        Assert.Null((await _fixture.Webhooks.FindAsync(WebhookFixture.Project, webhook.Id, Cancel))!.FailingSince);
    }

    [Fact]
    public async Task Deliver_Gone_GivesUpAndDisablesImmediately()
    {
        _receiver.Answer = Status(410);
        var webhook = await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        await _fixture.HappenAsync();
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.Contains(await _fixture.AllAsync(), delivery => delivery.Status == WebhookDeliveryStatus.Dead);
        Assert.Equal("gone", (await _fixture.Webhooks.FindAsync(WebhookFixture.Project, webhook.Id, Cancel))!.DisabledReason);
        Assert.Equal(0, await _fixture.HappenAsync());
    }

    [Fact]
    public async Task Deliver_Gone_NotifiesProjectsOtherWebhooks()
    {
        _receiver.Answer = context =>
        {
            context.Response.StatusCode = context.Request.Path == "/gone" ? 410 : 204;
            return Task.CompletedTask;
        };
        var gone = await _fixture.AddWebhookAsync(_receiver.Url + "/gone");
        await _fixture.AddWebhookAsync(_receiver.Url + "/ops", WebhookFixture.Project, WebhookEvents.Disabled);
        await _fixture.AddWebhookAsync(_receiver.Url + "/others", "proj_2");
        await _fixture.HappenAsync();
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.Equal("/gone", (await _receiver.NextAsync(Cancel)).Path);
        await _fixture.Worker.DeliverDueAsync(Cancel);
        var told = await _receiver.NextAsync(Cancel);
        Assert.Equal("/ops", told.Path);
        var body = JsonDocument.Parse(told.Body).RootElement;
        Assert.Equal((WebhookEvents.Disabled, gone.Id, "gone"), (body.GetProperty("type").GetString()!, body.GetProperty("data").GetProperty("id").GetString()!, body.GetProperty("data").GetProperty("disabled_reason").GetString()!));
        Assert.DoesNotContain("secret\":\"", body.GetRawText(), StringComparison.Ordinal);
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.False(_receiver.HasMore);
    }

    [Fact]
    public async Task Deliver_UrlChangedDuringDelivery_DoesNotDisableNewUrl()
    {
        var answer = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _receiver.Answer = async context =>
        {
            await answer.Task.WaitAsync(context.RequestAborted);
            context.Response.StatusCode = 410;
        };
        var webhook = await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        var delivering = _fixture.Worker.DeliverDueAsync(Cancel);
        await _receiver.NextAsync(Cancel);
        await _fixture.Webhooks.ChangeAsync(WebhookFixture.Project, webhook.Id, known => known with { Url = _receiver.Url + "/new" }, null, Cancel);
        answer.SetResult();
        await delivering;
        var after = (await _fixture.Webhooks.FindAsync(WebhookFixture.Project, webhook.Id, Cancel))!;
        Assert.Equal((true, null), (after.Enabled, after.FailingSince));
    }

    [Fact]
    public async Task Update_WebhookUrl_EndsBackoffOfOldUrl()
    {
        _receiver.Answer = Status(503);
        var webhook = await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        await _fixture.Worker.DeliverDueAsync(Cancel);
        await _receiver.NextAsync(Cancel);
        _receiver.Answer = Status(204);
        await _fixture.Webhooks.ChangeAsync(WebhookFixture.Project, webhook.Id, known => known with { Url = _receiver.Url + "/new" }, null, Cancel);
        await _fixture.HappenAsync();
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.Equal("/new", (await _receiver.NextAsync(Cancel)).Path);
    }

    [Fact]
    public async Task Redeliver_WhileLastAttemptFails_StillRestartsSchedule()
    {
        var answer = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _receiver.Answer = Status(500);
        await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        for (var made = 1; made < WebhookSchedule.MaxAttempts; made++)
        {
            await _fixture.Worker.DeliverDueAsync(Cancel);
            await _receiver.NextAsync(Cancel);
            _fixture.Time.Advance((await _fixture.OnlyAsync()).NextAt - _fixture.Time.GetUtcNow() + TimeSpan.FromMilliseconds(1));
        }
        _receiver.Answer = async context =>
        {
            await answer.Task.WaitAsync(context.RequestAborted);
            context.Response.StatusCode = 500;
        };
        var last = _fixture.Worker.DeliverDueAsync(Cancel);
        await _receiver.NextAsync(Cancel);
        Assert.NotNull(await _fixture.Deliveries.RedeliverAsync(WebhookFixture.Project, (await _fixture.OnlyAsync()).Id, _fixture.Time.GetUtcNow(), Cancel));
        answer.SetResult();
        await last;
        var again = await _fixture.OnlyAsync();
        Assert.Equal((WebhookDeliveryStatus.Pending, WebhookSchedule.MaxAttempts, 0), (again.Status, again.Attempts, again.Step));
        Assert.Equal(WebhookSchedule.MaxAttempts, (await _fixture.Deliveries.HistoryAsync(again.Id, Cancel)).Count);
        _receiver.Answer = Status(204);
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.Equal(WebhookDeliveryStatus.Delivered, (await _fixture.OnlyAsync()).Status);
    }

    [Fact]
    public async Task Deliver_GoneFromPerRequestUrl_AffectsOnlyThatUrl()
    {
        _receiver.Answer = Status(410);
        await _fixture.HappenAsync(url: Url);
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.Equal(WebhookDeliveryStatus.Dead, (await _fixture.OnlyAsync()).Status);
        _receiver.Answer = Status(204);
        Assert.Equal(1, await _fixture.HappenAsync(url: _receiver.Url + "/other"));
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.Equal(WebhookDeliveryStatus.Delivered, (await _fixture.AllAsync())[0].Status);
        Assert.StartsWith("v1a,", (await _receiver.NextAsync(Cancel)).Headers["webhook-signature"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Deliver_RetryAfter_PausesAllDeliveriesToReceiver()
    {
        _receiver.Answer = context =>
        {
            context.Response.StatusCode = 429;
            context.Response.Headers.RetryAfter = "600";
            return Task.CompletedTask;
        };
        await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        await _fixture.Worker.DeliverDueAsync(Cancel);
        await _receiver.NextAsync(Cancel);
        var pause = (await _fixture.OnlyAsync()).NextAt - _fixture.Time.GetUtcNow();
        Assert.InRange(pause.TotalSeconds, 600, 661);

        // Also nothing else is sent there meanwhile.
        await _fixture.HappenAsync();
        _fixture.Time.Advance(TimeSpan.FromSeconds(590));
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.False(_receiver.HasMore);
        _receiver.Answer = Status(204);
        _fixture.Time.Advance(TimeSpan.FromSeconds(80));
        // One at a time until it has taken one.
        await _fixture.Worker.DeliverDueAsync(Cancel);
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.All(await _fixture.AllAsync(), delivery => Assert.Equal(WebhookDeliveryStatus.Delivered, delivery.Status));
    }

    [Fact]
    public async Task Deliver_Redirect_FailsAndIsNotFollowed()
    {
        _receiver.Answer = context =>
        {
            context.Response.StatusCode = 307;
            context.Response.Headers.Location = _receiver.Url + "/inside";
            return Task.CompletedTask;
        };
        await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.Equal("/hooks", (await _receiver.NextAsync(Cancel)).Path);
        Assert.False(_receiver.HasMore);
        Assert.Equal((WebhookDeliveryStatus.Pending, 307), ((await _fixture.OnlyAsync()).Status, (await _fixture.OnlyAsync()).LastStatusCode!.Value));
    }

    [Fact]
    public async Task Deliver_ReceiverNeverResponds_TimesOut()
    {
        _receiver.Answer = context => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        var delivering = _fixture.Worker.DeliverDueAsync(Cancel);
        await _receiver.NextAsync(Cancel);
        _fixture.Time.Advance(WebhookSender.Timeout);
        await delivering.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancel);
        var delivery = await _fixture.OnlyAsync();
        Assert.Equal((WebhookDeliveryStatus.Pending, "timeout", (int?)null), (delivery.Status, delivery.LastError!, delivery.LastStatusCode));
        Assert.Equal(WebhookSender.Timeout, Assert.Single(await _fixture.Deliveries.HistoryAsync(delivery.Id, Cancel)).Duration);
    }

    [Fact]
    public async Task Deliver_EndlessResponse_CountsByStatusAndIsAborted()
    {
        var cut = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _receiver.Answer = async context =>
        {
            try
            {
                var piece = new byte[64 * 1024];
                while (true) await context.Response.Body.WriteAsync(piece, context.RequestAborted);
            }
            catch (Exception)
            {
                cut.SetResult();
                throw;
            }
        };
        await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.Equal(WebhookDeliveryStatus.Delivered, (await _fixture.OnlyAsync()).Status);
        await cut.Task.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancel);
    }

    [Fact]
    public async Task Deliver_NetworkNoLongerAllowed_SendsNothing()
    {
        await _fixture.AddWebhookAsync(Url);
        await _fixture.AddWebhookAsync(Url.Replace("127.0.0.1", "localhost", StringComparison.Ordinal));
        await _fixture.HappenAsync();
        _fixture.Configuration.Current = new GatewayConfiguration().With(new WebhooksConfig { AllowHttp = true, AllowedNetworks = [System.Net.IPNetwork.Parse("10.0.0.0/8")] });
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.False(_receiver.HasMore);
        Assert.Equal(["address_not_allowed", "url_not_allowed"], (await _fixture.AllAsync()).Select(delivery => delivery.LastError).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Deliver_DuringKeyRotation_SignsWithBothThenOnlyWithNewKey()
    {
        var webhook = await _fixture.AddWebhookAsync(Url);
        var newer = WebhookKey.New(WebhookSignature.Hmac);
        await _fixture.Webhooks.ChangeAsync(WebhookFixture.Project, webhook.Id, known => known with { Key = newer, PreviousKey = known.Key, PreviousUntil = _fixture.Time.GetUtcNow() + TimeSpan.FromHours(1) }, null, Cancel);
        await _fixture.HappenAsync();
        await _fixture.Worker.DeliverDueAsync(Cancel);
        var during = await _receiver.NextAsync(Cancel);
        var seconds = long.Parse(during.Headers["webhook-timestamp"], null);
        Assert.Equal($"{newer.Sign(during.Headers["webhook-id"], seconds, during.Body)} {webhook.Key.Sign(during.Headers["webhook-id"], seconds, during.Body)}", during.Headers["webhook-signature"]);

        _fixture.Time.Advance(TimeSpan.FromHours(1));
        await _fixture.HappenAsync();
        await _fixture.Worker.DeliverDueAsync(Cancel);
        var after = await _receiver.NextAsync(Cancel);
        Assert.Equal(newer.Sign(after.Headers["webhook-id"], long.Parse(after.Headers["webhook-timestamp"], null), after.Body), after.Headers["webhook-signature"]);
    }

    [Fact]
    public async Task Redeliver_DeadDelivery_RestartsScheduleWithSameEvent()
    {
        _receiver.Answer = Status(410);
        await _fixture.HappenAsync(url: Url);
        await _fixture.Worker.DeliverDueAsync(Cancel);
        var first = await _receiver.NextAsync(Cancel);
        var dead = await _fixture.OnlyAsync();
        _receiver.Answer = Status(500);
        Assert.Null(await _fixture.Deliveries.RedeliverAsync("proj_2", dead.Id, _fixture.Time.GetUtcNow(), Cancel));
        Assert.NotNull(await _fixture.Deliveries.RedeliverAsync(WebhookFixture.Project, dead.Id, _fixture.Time.GetUtcNow(), Cancel));
        await _fixture.Worker.DeliverDueAsync(Cancel);
        Assert.Equal(first.Headers["webhook-id"], (await _receiver.NextAsync(Cancel)).Headers["webhook-id"]);
        var again = await _fixture.OnlyAsync();
        Assert.Equal((WebhookDeliveryStatus.Pending, 2, 1), (again.Status, again.Attempts, again.Step));
        Assert.InRange((again.NextAt - _fixture.Time.GetUtcNow()).TotalSeconds, 4.4, 5.6);
    }

    [Fact]
    public async Task Stop_DuringDeliveryAttempt_ReturnsDeliveryWithoutCountingAttempt()
    {
        _receiver.Answer = context => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        await _fixture.AddProjectAsync();
        await _fixture.AddWebhookAsync(Url);
        await _fixture.HappenAsync();
        await _fixture.Worker.StartAsync(Cancel);
        await _receiver.NextAsync(Cancel);
        await _fixture.Worker.StopAsync(Cancel);

        Assert.Equal((WebhookDeliveryStatus.Pending, 0), ((await _fixture.OnlyAsync()).Status, (await _fixture.OnlyAsync()).Attempts));
        var now = _fixture.Time.GetUtcNow();
        Assert.Single(await _fixture.Deliveries.LeaseAsync("next", now, now + WebhookWorker.Lease, 1, 1, Cancel));
    }

    private static Func<Microsoft.AspNetCore.Http.HttpContext, Task> Status(int status) => context =>
    {
        context.Response.StatusCode = status;
        return Task.CompletedTask;
    };
}
