using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Webhooks;

/// <summary>Webhooks about ended generations, also after a crash of the process.</summary>
public sealed class JobWebhookTests : IAsyncLifetime
{
    private WebhookReceiver _receiver = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _receiver = await WebhookReceiver.StartAsync();

    public ValueTask DisposeAsync() => _receiver.DisposeAsync();

    [Fact]
    public async Task Job_Completed_NotifiesRegisteredAndPerRequestWebhooks()
    {
        await using var gateway = await TestGateway.StartAsync(WebhookTests.Configuration);
        await gateway.Client.PostForJsonAsync("/v2/webhooks", $$"""{"url":"{{_receiver.Url}}/registered","events":["generation.completed"]}""");
        await gateway.Client.PostForJsonAsync("/v2/webhooks", $$"""{"url":"{{_receiver.Url}}/others","events":["generation.failed"]}""");
        var id = await AcceptAsync(gateway.Client, "sim-echo", $$"""{"url":"{{_receiver.Url}}/once"}""");

        var seen = new[] { await _receiver.NextAsync(Cancel), await _receiver.NextAsync(Cancel) };
        Assert.Equal(["/once", "/registered"], seen.Select(one => one.Path).Order(StringComparer.Ordinal));
        Assert.Single(seen.Select(one => one.Headers["webhook-id"]).Distinct());
        var body = JsonDocument.Parse(seen[0].Body).RootElement;
        Assert.Equal("generation.completed", body.GetProperty("type").GetString());
        var data = body.GetProperty("data");
        Assert.Equal((id, "completed", "sim-echo"), (data.GetProperty("id").GetString()!, data.GetProperty("status").GetString()!, data.GetProperty("model").GetString()!));
        Assert.DoesNotContain("a secret thought", body.GetRawText(), StringComparison.Ordinal);
        // A receiver of the webhook can fetch the result.
        using var result = await gateway.Client.GetAsync(new Uri($"/v2/generations/{id}/result", UriKind.Relative), Cancel);
        Assert.Contains("a secret thought", await result.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);

        var key = await TextAsync(gateway.Client, "/v2/webhooks/per-request");
        Assert.StartsWith("whpk_", JsonDocument.Parse(key).RootElement.GetProperty("public_key").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Job_FailedOrCancelled_SendsMatchingWebhookEvent()
    {
        await using var gateway = await TestGateway.StartAsync(WebhookTests.Configuration);
        await gateway.Client.PostForJsonAsync("/v2/webhooks", $$"""{"url":"{{_receiver.Url}}/registered"}""");
        var failed = await AcceptAsync(gateway.Client, "sim-echo", null, "status=400");
        var first = JsonDocument.Parse((await _receiver.NextAsync(Cancel)).Body).RootElement;
        Assert.Equal(("generation.failed", failed, "provider_rejected"),
            (first.GetProperty("type").GetString()!, first.GetProperty("data").GetProperty("id").GetString()!, first.GetProperty("data").GetProperty("error").GetProperty("code").GetString()!));

        var stuck = await AcceptAsync(gateway.Client, "sim-echo", null, "hang");
        await gateway.Client.PostForJsonAsync($"/v2/generations/{stuck}/cancel", "{}");
        var second = JsonDocument.Parse((await _receiver.NextAsync(Cancel)).Body).RootElement;
        Assert.Equal(("generation.cancelled", stuck), (second.GetProperty("type").GetString()!, second.GetProperty("data").GetProperty("id").GetString()!));
    }

    [Theory]
    [InlineData("respond-async", "http://169.254.169.254/", "fairlead.webhook.url", "invalid_parameter")]
    [InlineData("respond-async", "http://localhost.:80/", "fairlead.webhook.url", "invalid_parameter")]
    [InlineData(null, "https://example.com/", "fairlead.webhook", "unsupported_parameter")]
    public async Task Request_WithInvalidWebhook_Returns400(string? prefer, string url, string parameter, string code)
    {
        await using var gateway = await TestGateway.StartAsync(WebhookTests.Configuration);
        using var request = Request("sim-echo", $$"""{"url":"{{url}}"}""", prefer);
        using var response = await gateway.Client.SendAsync(request, Cancel);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        var error = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("error");
        Assert.Equal((parameter, code), (error.GetProperty("param").GetString()!, error.GetProperty("code").GetString()!));
    }

    [Fact]
    public async Task Kill_BetweenJobEndAndWebhookDelivery_DeliversAfterRestart()
    {
        var folder = Directory.CreateTempSubdirectory("fairlead-webhook-kill").FullName;
        try
        {
            await File.WriteAllTextAsync(Path.Combine(folder, "fairlead.yaml"), WebhookTests.Configuration, Cancel);
            // The first attempt is under way, and never comes to an end.
            _receiver.Answer = context => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
            ReceivedWebhook first;
            string id;
            string key;
            await using (var server = await ServerProcess.ServeAsync(folder))
            {
                key = await server.ClientKeyAsync();
                server.Client.BaseAddress = new Uri(server.Address);
                server.Client.DefaultRequestHeaders.Authorization = new("Bearer", key);
                id = await AcceptAsync(server.Client, "sim-echo", $$"""{"url":"{{_receiver.Url}}/once"}""");
                first = await _receiver.NextAsync(Cancel);
                await server.KillAsync();
            }
            _receiver.Answer = context => Task.CompletedTask;

            await using var next = await ServerProcess.ServeAsync(folder);
            var again = await _receiver.NextAsync(Cancel);
            Assert.Equal((first.Headers["webhook-id"], Encoding.UTF8.GetString(first.Body)), (again.Headers["webhook-id"], Encoding.UTF8.GetString(again.Body)));
            next.Client.BaseAddress = new Uri(next.Address);
            next.Client.DefaultRequestHeaders.Authorization = new("Bearer", key);
            Assert.Contains("\"status\":\"completed\"", await TextAsync(next.Client, $"/v2/generations/{id}"), StringComparison.Ordinal);
            Assert.Equal(0, await next.TerminateAsync());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<string> AcceptAsync(HttpClient client, string model, string? webhook, string? simulate = null)
    {
        using var request = Request(model, webhook, "respond-async");
        if (simulate is not null) request.Headers.Add("Fairlead-Simulate", simulate);
        using var response = await client.SendAsync(request, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.Accepted, text);
        return JsonDocument.Parse(text).RootElement.GetProperty("id").GetString()!;
    }

    private static HttpRequestMessage Request(string model, string? webhook, string? prefer)
    {
        var extension = webhook is null ? "" : ",\"fairlead\":{\"webhook\":" + webhook + "}";
        var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
        {
            Content = new StringContent($$"""{"model":"{{model}}","messages":[{"role":"user","content":"a secret thought"}]{{extension}}}""", Encoding.UTF8, "application/json"),
        };
        if (prefer is not null) request.Headers.Add("Prefer", prefer);
        return request;
    }

    private static Task<string> TextAsync(HttpClient client, string path) => client.GetStringAsync(new Uri(path, UriKind.Relative), Cancel);
}
