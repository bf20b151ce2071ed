using System.Net;
using Fairlead.Caching;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Caching;

/// <summary>Kept responses are deleted by project and model, on all nodes and in Redis; and nodes share them through Redis.</summary>
public sealed class CacheDeletionTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("Sqlite")]
    [InlineData("Postgres")]
    public async Task Delete_ProjectOrModel_RemovesOnlyThose(string store)
    {
        await using var upstream = await CacheWorld.StartUpstreamAsync();
        await using var gateway = await TestGateway.StartAsync(Enum.Parse<StorageProvider>(store), upstream.Yaml(CacheWorld.Cache));
        using var other = await CacheTests.OtherProjectAsync(gateway);
        async Task<string?> OwnAsync() => (await CacheWorld.SendAsync(gateway.Client, "/v1/chat/completions", CacheWorld.Chat())).Cache;
        async Task<string?> OthersAsync() => (await CacheWorld.SendAsync(other, "/v1/chat/completions", CacheWorld.Chat())).Cache;
        Assert.Equal(["miss", "miss", "hit", "hit"], [await OwnAsync(), await OthersAsync(), await OwnAsync(), await OthersAsync()]);

        await DeleteAsync(gateway, $"?project_id={gateway.ProjectId}");
        Assert.Equal(["miss", "hit", "hit"], [await OwnAsync(), await OthersAsync(), await OwnAsync()]);
        await DeleteAsync(gateway, "?model=sim-echo");
        Assert.Equal(["hit", "hit"], [await OwnAsync(), await OthersAsync()]);
        await DeleteAsync(gateway, $"?model=m&project_id={gateway.ProjectId}");
        Assert.Equal(["miss", "hit"], [await OwnAsync(), await OthersAsync()]);
        await DeleteAsync(gateway, "?model=m");
        Assert.Equal(["miss", "miss"], [await OwnAsync(), await OthersAsync()]);
        await DeleteAsync(gateway, "");
        Assert.Equal(["miss", "miss", "hit", "hit"], [await OwnAsync(), await OthersAsync(), await OwnAsync(), await OthersAsync()]);

        await DeleteAsync(gateway, "?project_id=proj_none", HttpStatusCode.NotFound);
        await DeleteAsync(gateway, "?model=none", HttpStatusCode.NotFound);
        await DeleteAsync(gateway, "?nonsense=1", HttpStatusCode.BadRequest);
        using var refused = await gateway.Client.DeleteAsync(new Uri("/admin/v1/cache", UriKind.Relative), Token);
        Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        Assert.Equal("hit", await OwnAsync());
    }

    [Fact]
    public async Task Redis_TwoNodes_ShareAndDelete()
    {
        using var redis = PrivateRedis.Start();
        await using var upstream = await CacheWorld.StartUpstreamAsync();
        var database = TestPostgres.CreateDatabase();
        try
        {
            var yaml = upstream.Yaml($"{CacheWorld.Cache}\n  redis: {{ connectionString: \"{redis.ConnectionString}\" }}");
            await using var first = await TestGateway.StartOnAsync(database, yaml);
            await using var second = await TestGateway.StartOnAsync(database, yaml);
            var (secret, _) = await first.MakeKeyAsync("\"cache\":\"on\"");
            using var one = first.MakeClient(secret);
            using var two = second.MakeClient(secret);
            await second.Services.GetRequiredService<Fairlead.Access.CallerSnapshots>().ReloadAsync(Token);

            var body = CacheWorld.Chat(more: "\"temperature\":0");
            var made = await CacheWorld.SendAsync(one, "/v1/chat/completions", body);
            Assert.Equal("miss", made.Cache);
            // It is written in the background.
            var level = first.Services.GetRequiredService<RedisLevel>();
            Assert.True(level.IsAvailable);
            await UntilAsync(async () => await CountAsync(redis) == 1);
            var hit = await CacheWorld.SendAsync(two, "/v1/chat/completions", body[..^1] + ",\"stream\":true}");
            Assert.Equal(("hit", made.Text), (hit.Cache, hit.Text));
            Assert.Single(upstream.Requests);

            await DeleteAsync(first, "?model=m");
            Assert.Equal(0, await CountAsync(redis));
            Assert.Equal("miss", (await CacheWorld.SendAsync(one, "/v1/chat/completions", body)).Cache);
            // The other node learns of it within two seconds; a test need not wait for its timer.
            await second.Services.GetRequiredService<CacheDeletions>().RefreshAsync(Token);
            Assert.NotEqual(made.Text, (await CacheWorld.SendAsync(two, "/v1/chat/completions", body)).Text);
        }
        finally
        {
            TestPostgres.DropDatabase(database);
        }
    }

    [Fact]
    public async Task Redis_Stops_CallsGoOnWithMemory()
    {
        using var redis = PrivateRedis.Start();
        await using var world = await CacheWorld.StartAsync($"{CacheWorld.Cache}\n  redis: {{ connectionString: \"{redis.ConnectionString}\" }}");
        Assert.Equal("miss", (await world.SendAsync(CacheWorld.Chat())).Cache);
        redis.Suspend();
        try
        {
            Assert.Equal("hit", (await world.SendAsync(CacheWorld.Chat())).Cache);
            Assert.Equal("miss", (await world.SendAsync(CacheWorld.Chat("another"))).Cache);
            Assert.Equal("hit", (await world.SendAsync(CacheWorld.Chat("another"))).Cache);
            await DeleteAsync(world.Gateway, "");
            Assert.Equal("miss", (await world.SendAsync(CacheWorld.Chat())).Cache);
        }
        finally
        {
            redis.Continue();
        }
    }

    private static async Task DeleteAsync(TestGateway gateway, string query, HttpStatusCode expected = HttpStatusCode.NoContent)
    {
        using var response = await gateway.Admin.DeleteAsync(new Uri("/admin/v1/cache" + query, UriKind.Relative), Token);
        Assert.Equal(expected, response.StatusCode);
    }

    private static async Task<int> CountAsync(PrivateRedis redis)
    {
        await using var connection = await StackExchange.Redis.ConnectionMultiplexer.ConnectAsync(
            Fairlead.Limits.Redis.RedisConnectionString.Parse(redis.ConnectionString)!);
        return connection.GetServers()[0].Keys(pattern: RedisLevel.Prefix + "*").Count();
    }

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        while (!await condition()) await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, Token);
    }
}
