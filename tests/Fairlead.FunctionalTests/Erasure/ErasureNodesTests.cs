using System.Net;
using Fairlead.Caching;
using Fairlead.FunctionalTests.Caching;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Erasure;

/// <summary>Two nodes on one database, with a Redis.</summary>
public sealed class ErasureNodesTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>Each node removes the records of its own chain, and nothing is left in Redis and in the memory of the other.</summary>
    [Fact]
    public async Task Erase_CallsOfTwoNodes_RemovesThemOnBoth()
    {
        using var redis = PrivateRedis.Start();
        await using var upstream = await CacheWorld.StartUpstreamAsync();
        var database = TestPostgres.CreateDatabase();
        try
        {
            var yaml = upstream.Yaml($"{CacheWorld.Cache}\n  redis: {{ connectionString: \"{redis.ConnectionString}\" }}");
            await using var first = await TestGateway.StartOnAsync(database, yaml);
            await using var second = await TestGateway.StartOnAsync(database, yaml);
            var (secret, key) = await first.MakeKeyAsync("\"cache\":\"on\"");
            await second.Services.GetRequiredService<Fairlead.Access.CallerSnapshots>().ReloadAsync(Cancel);
            foreach (var gateway in (TestGateway[])[first, second])
            {
                using var client = gateway.MakeClient(secret);
                var made = await CacheWorld.SendAsync(client, "/v1/chat/completions", CacheWorld.Chat($"text of {gateway.Url}", "\"temperature\":0,\"user\":\"ada\""));
                Assert.Equal("miss", made.Cache);
            }
            while (await KeysAsync(redis) < 2) await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, Cancel);
            while ((await first.Admin.GetJsonAsync("/admin/v1/audit?user=ada")).GetProperty("data").GetArrayLength() < 2)
                await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);

            var erasure = await first.Admin.PostForJsonAsync("/admin/v1/erasures", $$"""{"key_id":"{{key}}"}""", HttpStatusCode.Accepted);
            var path = "/admin/v1/erasures/" + erasure.GetProperty("id").GetString();
            while ((await second.Admin.GetJsonAsync(path)).GetProperty("status").GetString() != "completed")
                await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
            Assert.Equal(2, (await first.Admin.GetJsonAsync(path)).GetProperty("counts").GetProperty("audit").GetInt32());
            Assert.Equal(0, (await second.Admin.GetJsonAsync("/admin/v1/audit?user=ada")).GetProperty("data").GetArrayLength());
            Assert.Equal(0, await KeysAsync(redis));
            foreach (var gateway in (TestGateway[])[first, second])
            {
                await gateway.Services.GetRequiredService<CacheDeletions>().RefreshAsync(Cancel);
                Assert.Equal(0, gateway.Services.GetRequiredService<OutputCache>().CountOf(first.ProjectId));
            }
        }
        finally
        {
            TestPostgres.DropDatabase(database);
        }
    }

    private static async Task<int> KeysAsync(PrivateRedis redis)
    {
        await using var connection = await StackExchange.Redis.ConnectionMultiplexer.ConnectAsync(
            Fairlead.Limits.Redis.RedisConnectionString.Parse(redis.ConnectionString)!);
        return connection.GetServers()[0].Keys(pattern: RedisLevel.Prefix + "*").Count();
    }
}
