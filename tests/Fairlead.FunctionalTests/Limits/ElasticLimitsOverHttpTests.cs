using System.Net;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.FunctionalTests.Common;
using Fairlead.Limits;
using Fairlead.Limits.Elastic;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>Elastic limits in headers, in both ways to read limits, and in refusals.</summary>
public sealed class ElasticLimitsOverHttpTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task ElasticLimit_Shrunk_IsShownEverywhereWithItsBase()
    {
        await using var gateway = await StartAsync();
        var (secret, id) = await gateway.MakeKeyAsync("""
            "scopes":["chat","usage:read"],"limits":{"requests_per_minute":8,"elastic":true,"classes":{"realtime":{"requests_per_minute":4,"elastic":{"min":1,"max":1}}}}
            """);
        using var client = gateway.MakeClient(secret);
        using (var first = await AskAsync(client)) Assert.Contains("\"key-requests\";q=8;", Policy(first), StringComparison.Ordinal);
        gateway.Services.GetRequiredService<LimitAccounts>().Elastic.Of("sim-fast", CallClasses.Standard).Position = -1;

        using (var second = await AskAsync(client))
        {
            Assert.Contains("\"key-requests\";q=2;", Policy(second), StringComparison.Ordinal);
            Assert.Equal("2", second.Headers.GetValues("x-ratelimit-limit-requests").Single());
            Assert.Equal("0", second.Headers.GetValues("x-ratelimit-remaining-requests").Single());
            var body = JsonDocument.Parse(await second.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("fairlead").GetProperty("limits")[0];
            Assert.Equal((2, 8), (body.GetProperty("limit").GetInt32(), body.GetProperty("base_limit").GetInt32()));
        }
        using (var refused = await AskAsync(client))
        {
            Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
            var details = JsonDocument.Parse(await refused.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("error").GetProperty("details");
            Assert.Equal((2, 8, true), (details.GetProperty("limit").GetInt32(), details.GetProperty("base_limit").GetInt32(), details.GetProperty("estimated").GetBoolean()));
        }
        var own = (await client.GetJsonAsync("/v2/limits")).GetProperty("limits");
        var admin = (await gateway.Admin.GetJsonAsync($"/admin/v1/limits?key_id={id}")).GetProperty("data");
        foreach (var limits in (JsonElement[])[own, admin])
        {
            Assert.Equal((2, 8), (limits[0].GetProperty("limit").GetInt32(), limits[0].GetProperty("base_limit").GetInt32()));
            // The limit of realtime is a promise.
            Assert.Equal(("realtime", 4), (limits[1].GetProperty("class").GetString(), limits[1].GetProperty("limit").GetInt32()));
            Assert.False(limits[1].TryGetProperty("base_limit", out _));
        }
    }

    private static string Policy(HttpResponseMessage response) => response.Headers.GetValues("RateLimit-Policy").Single();

    private static Task<HttpResponseMessage> AskAsync(HttpClient client) =>
        client.PostJsonAsync("/v1/chat/completions", """{"model":"sim-fast","messages":[{"role":"user","content":"hi"}],"fairlead":{}}""");

    // Without the tick, so that the level stays where the test puts it.
    private static Task<TestGateway> StartAsync() => TestGateway.StartAsync(configure: (builder, _) =>
    {
        foreach (var service in builder.Services.Where(service => service.ServiceType == typeof(IHostedService) && service.ImplementationType == typeof(ElasticService)).ToList())
            builder.Services.Remove(service);
    });
}
