using System.Globalization;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.FunctionalTests.Caching;

/// <summary>An identical request gets the kept response: what it would have got, without a provider and without a cost.</summary>
public sealed class CacheTests
{
    private static readonly string Wish = "\"cache\":{\"mode\":\"on\"}";

    public static TheoryData<string, bool, bool> Deliveries
    {
        get
        {
            var data = new TheoryData<string, bool, bool>();
            foreach (var path in new[] { "/v1/chat/completions", "/v1/messages", "/v1/responses", "/v2/generations" })
            {
                foreach (var first in new[] { false, true })
                {
                    foreach (var second in new[] { false, true }) data.Add(path, first, second);
                }
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Deliveries))]
    public async Task Hit_EveryDialectAndDelivery_ReturnsSameTextWithoutProvider(string path, bool firstStreams, bool secondStreams)
    {
        await using var world = await CacheWorld.StartAsync(CacheWorld.Cache + "\n  jobs: {}");
        var first = await CacheWorld.SendAsync(world.Gateway.Client, path, Body(path, firstStreams));
        Assert.True(first.Status == 200, first.Body);
        Assert.Equal(("miss", null), (first.Cache, first.Age));
        Assert.Equal(firstStreams, !first.Body.StartsWith('{'));
        Assert.StartsWith("one two three number ", first.Text, StringComparison.Ordinal);
        Assert.False(first.Is("cached"));
        var calls = world.Calls;

        var second = await CacheWorld.SendAsync(world.Gateway.Client, path, Body(path, secondStreams));
        Assert.Equal((200, "hit"), (second.Status, second.Cache));
        Assert.NotNull(second.Age);
        Assert.Equal(secondStreams, !second.Body.StartsWith('{'));
        Assert.Equal(first.Text, second.Text);
        Assert.Equal(calls, world.Calls);

        var fairlead = second.Fairlead;
        Assert.True(second.Is("cached"));
        Assert.False(second.Is("coalesced"));
        Assert.Equal(0m, fairlead.GetProperty("cost").GetProperty("usd").GetDecimal());
        Assert.Equal(0, fairlead.GetProperty("attempts").GetArrayLength());
        Assert.Equal(0, fairlead.GetProperty("usage").GetProperty("output_tokens").GetInt64());
        Assert.Equal(first.Fairlead.GetProperty("usage").GetRawText(), fairlead.GetProperty("original_usage").GetRawText());
        Assert.Equal(first.Fairlead.GetProperty("model").GetString(), fairlead.GetProperty("model").GetString());
        Assert.Equal("complete", fairlead.GetProperty("outcome").GetString());
        world.AssertAtRest();
    }

    [Fact]
    public async Task Hit_Audit_SaysCachedAndCountsNothing()
    {
        await using var world = await CacheWorld.StartAsync();
        await world.SendAsync(CacheWorld.Chat());
        await world.SendAsync(CacheWorld.Chat());
        var records = await world.AuditAsync(2);
        var hit = Assert.Single(records, record => record.TryGetProperty("cached", out var cached) && cached.GetBoolean());
        Assert.Equal(0m, hit.GetProperty("cost_usd").GetDecimal());
        Assert.Equal(0, hit.GetProperty("usage").GetProperty("input_tokens").GetInt64());
        Assert.Equal(11, hit.GetProperty("original_usage").GetProperty("input_tokens").GetInt64());
        Assert.Empty(hit.GetProperty("attempts").EnumerateArray());
        var totals = (await world.Gateway.Admin.GetJsonAsync("/admin/v1/usage")).GetProperty("totals");
        Assert.Equal((2, 11L), (totals.GetProperty("requests").GetInt32(), totals.GetProperty("input_tokens").GetInt64()));
        var paid = records.Where(record => record.GetProperty("id").GetString() != hit.GetProperty("id").GetString()).Sum(record => record.GetProperty("cost_usd").GetDecimal());
        Assert.Equal(paid, totals.GetProperty("cost_usd").GetDecimal());
        world.AssertAtRest();
    }

    [Fact]
    public async Task Hit_OtherOrderOfFieldsAndUser_IsFound()
    {
        await using var world = await CacheWorld.StartAsync();
        await world.SendAsync("""{"model":"m","temperature":0,"messages":[{"role":"user","content":"x"}],"fairlead":{"cache":{"mode":"on"}}}""");
        var hit = await world.SendAsync("""{ "user":"u", "fairlead":{"cache":{"mode":"on"},"class":"bulk"}, "messages":[{"content":"x","role":"user"}],"temperature":0,"model":"m","stream":true}""");
        Assert.Equal("hit", hit.Cache);
        var other = await world.SendAsync("""{"model":"m","temperature":0,"max_tokens":7,"messages":[{"role":"user","content":"x"}],"fairlead":{"cache":{"mode":"on"}}}""");
        Assert.Equal("miss", other.Cache);
    }

    [Fact]
    public async Task Mode_OfKeyProjectAndRequest_MostSpecificCounts()
    {
        await using var world = await CacheWorld.StartAsync();
        var plain = CacheWorld.Chat(more: "\"temperature\":0");
        Assert.Equal("bypass", (await world.SendAsync(plain)).Cache);
        Assert.Equal("bypass", (await world.SendAsync(plain)).Cache);
        Assert.Equal(2, world.Calls);

        await world.Gateway.Admin.SendForJsonAsync(HttpMethod.Patch, $"/admin/v1/projects/{world.Gateway.ProjectId}", """{"cache":"on"}""");
        Assert.Equal("on", (await world.Gateway.Admin.GetJsonAsync($"/admin/v1/projects/{world.Gateway.ProjectId}")).GetProperty("cache").GetString());
        Assert.Equal("miss", (await world.SendAsync(plain)).Cache);
        Assert.Equal("hit", (await world.SendAsync(plain)).Cache);
        Assert.Equal("bypass", (await world.SendAsync(CacheWorld.Chat(more: "\"temperature\":0,\"fairlead\":{\"cache\":{\"mode\":\"off\"}}"))).Cache);

        var (secret, id) = await world.Gateway.MakeKeyAsync("\"cache\":\"off\"");
        using var client = world.Gateway.MakeClient(secret);
        Assert.Equal("bypass", (await CacheWorld.SendAsync(client, "/v1/chat/completions", plain)).Cache);
        Assert.Equal("hit", (await CacheWorld.SendAsync(client, "/v1/chat/completions", CacheWorld.Chat())).Cache);
        Assert.Equal("off", (await world.Gateway.Admin.GetJsonAsync($"/admin/v1/keys/{id}")).GetProperty("cache").GetString());
    }

    [Fact]
    public async Task Mode_ReadAndWrite_DoOnlyThat()
    {
        await using var world = await CacheWorld.StartAsync();
        string Of(string mode) => CacheWorld.Chat(more: "\"temperature\":0,\"fairlead\":{\"cache\":{\"mode\":\"" + mode + "\"}}");
        Assert.Equal("miss", (await world.SendAsync(Of("read"))).Cache);
        Assert.Equal("miss", (await world.SendAsync(Of("read"))).Cache);
        Assert.Equal("miss", (await world.SendAsync(Of("write"))).Cache);
        Assert.Equal("miss", (await world.SendAsync(Of("write"))).Cache);
        Assert.Equal(4, world.Calls);
        var hit = await world.SendAsync(Of("read"));
        Assert.Equal("hit", hit.Cache);
        Assert.EndsWith("4", hit.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/v1/chat/completions")]
    [InlineData("/v1/messages")]
    [InlineData("/v1/responses")]
    [InlineData("/v2/generations")]
    public async Task Mode_OtherThanThatOfTheFirstCall_FindsItsResponse(string path)
    {
        await using var world = await CacheWorld.StartAsync(CacheWorld.Cache + "\n  jobs: {}");
        var (secret, _) = await world.Gateway.MakeKeyAsync("\"cache\":\"on\"");
        using var client = world.Gateway.MakeClient(secret);
        async Task<string?> SendAsync(string wish) => (await CacheWorld.SendAsync(client, path, Body(path, false)
            .Replace("\"fairlead\":{" + Wish + "}", wish.Length == 0 ? "\"fairlead\":{}" : "\"fairlead\":{" + wish + "}", StringComparison.Ordinal)
            .Replace(Wish, wish.Length == 0 ? "\"deadline_ms\":60000" : wish, StringComparison.Ordinal))).Cache;
        Assert.Equal("miss", await SendAsync("\"cache\":{\"mode\":\"write\"}"));
        Assert.Equal("hit", await SendAsync("\"cache\":{\"mode\":\"read\"}"));
        Assert.Equal("hit", await SendAsync("\"cache\":{\"mode\":\"on\",\"ttl_seconds\":61}"));
        Assert.Equal("hit", await SendAsync(""));
    }

    [Theory]
    [InlineData("\"temperature\":1")]
    [InlineData("\"top_p\":0.5")]
    [InlineData("\"temperature\":0.1")]
    public async Task Sampled_KeyAsks_IsNotKeptUnlessRequestAsks(string sampling)
    {
        await using var world = await CacheWorld.StartAsync();
        var (secret, _) = await world.Gateway.MakeKeyAsync("\"cache\":\"on\"");
        using var client = world.Gateway.MakeClient(secret);
        for (var i = 0; i < 2; i++)
            Assert.Equal("bypass", (await CacheWorld.SendAsync(client, "/v1/chat/completions", CacheWorld.Chat(more: sampling))).Cache);
        var asking = CacheWorld.Chat(more: sampling + ",\"fairlead\":{" + Wish + "}");
        Assert.Equal("miss", (await CacheWorld.SendAsync(client, "/v1/chat/completions", asking)).Cache);
        Assert.Equal("hit", (await CacheWorld.SendAsync(client, "/v1/chat/completions", asking)).Cache);
        var seeded = CacheWorld.Chat(more: sampling + ",\"seed\":7");
        Assert.Equal("miss", (await CacheWorld.SendAsync(client, "/v1/chat/completions", seeded)).Cache);
        Assert.Equal("hit", (await CacheWorld.SendAsync(client, "/v1/chat/completions", seeded)).Cache);
    }

    [Fact]
    public async Task CacheControl_Directives_AreObeyed()
    {
        await using var upstream = await CacheWorld.StartUpstreamAsync();
        await using var gateway = await TestGateway.StartAsync(upstream.Yaml("  cache: { enabled: true, ttl: 10m }"));
        Task<Seen> SendAsync(string? control, string body) => control is null
            ? CacheWorld.SendAsync(gateway.Client, "/v1/chat/completions", body)
            : CacheWorld.SendAsync(gateway.Client, "/v1/chat/completions", body, ("Cache-Control", control));

        var body = CacheWorld.Chat();
        var refused = await SendAsync("only-if-cached", body);
        Assert.Equal((504, "not_cached"), (refused.Status, refused.Json.GetProperty("error").GetProperty("code").GetString()));
        Assert.Empty(upstream.Requests);
        Assert.Equal("bypass", (await SendAsync("no-store", body)).Cache);
        Assert.Equal("miss", (await SendAsync(null, body)).Cache);
        Assert.Equal("bypass", (await SendAsync("max-age=60, No-Store", body)).Cache);
        Assert.Equal("hit", (await SendAsync("only-if-cached", body)).Cache);
        Assert.Equal("hit", (await SendAsync("max-age=60", body)).Cache);
        var refreshed = await SendAsync("no-cache", body);
        Assert.Equal("miss", refreshed.Cache);
        var after = await SendAsync(null, body);
        Assert.Equal(("hit", refreshed.Text), (after.Cache, after.Text));
        // A value that is not a number accepts nothing.
        Assert.Equal("miss", (await SendAsync("max-age=soon", body)).Cache);
        // Without a wish for the cache, the directive still keeps the request from the provider.
        var calls = upstream.Requests.Count;
        Assert.Equal(504, (await SendAsync("only-if-cached", CacheWorld.Chat(more: "\"temperature\":0"))).Status);
        Assert.Equal(calls, upstream.Requests.Count);
    }

    [Fact]
    public async Task Ttl_Passes_ResponseIsGone()
    {
        var time = new ShiftedTime();
        await using var upstream = await CacheWorld.StartUpstreamAsync();
        await using var gateway = await TestGateway.StartAsync(upstream.Yaml("  cache: { enabled: true, ttl: 10m }"), (builder, _) => builder.Services.Replace(ServiceDescriptor.Singleton<TimeProvider>(time)));
        Task<Seen> SendAsync(string more = "", params (string, string)[] headers) => CacheWorld.SendAsync(gateway.Client, "/v1/chat/completions",
            CacheWorld.Chat(more: "\"temperature\":0,\"fairlead\":{\"cache\":{\"mode\":\"on\"" + more + "}}"), headers);

        Assert.Equal("miss", (await SendAsync()).Cache);
        time.Shift += TimeSpan.FromMinutes(9);
        var old = await SendAsync();
        Assert.Equal("hit", old.Cache);
        Assert.InRange(int.Parse(old.Age!, CultureInfo.InvariantCulture), 540, 570);
        Assert.Equal("hit", (await SendAsync("", ("Cache-Control", "max-age=600"))).Cache);
        time.Shift += TimeSpan.FromMinutes(1);
        Assert.Equal("miss", (await SendAsync()).Cache);
        // A request may ask for less time, and not for more.
        Assert.Equal("miss", (await SendAsync(",\"ttl_seconds\":60", ("Cache-Control", "max-age=0"))).Cache);
        time.Shift += TimeSpan.FromSeconds(30);
        Assert.Equal("hit", (await SendAsync()).Cache);
        time.Shift += TimeSpan.FromSeconds(31);
        Assert.Equal("miss", (await SendAsync(",\"ttl_seconds\":86400")).Cache);
        time.Shift += TimeSpan.FromMinutes(10);
        Assert.Equal("miss", (await SendAsync()).Cache);
    }

    [Theory]
    [InlineData("length")]
    [InlineData("content_filter")]
    public async Task Output_DidNotEndByItself_IsNotKept(string finish)
    {
        await using var world = await CacheWorld.StartAsync();
        foreach (var stream in new[] { false, true })
        {
            world.Upstream.Answer = context => CacheWorld.AnswerAsync(context, "cut", finish);
            Assert.Equal("miss", (await world.SendAsync(CacheWorld.Chat("x", stream: stream))).Cache);
            Assert.Equal("miss", (await world.SendAsync(CacheWorld.Chat("x", stream: stream))).Cache);
        }
        Assert.Equal(4, world.Calls);
    }

    [Fact]
    public async Task Output_FailedOrBroken_IsNotKept()
    {
        await using var world = await CacheWorld.StartAsync();
        var works = world.Upstream.Answer;
        world.Upstream.Answer = context => FakeUpstream.Json(context, """{"error":{"message":"bad"}}""", 400);
        Assert.Equal(400, (await world.SendAsync(CacheWorld.Chat())).Status);
        world.Upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{\"content\":\"half\"}"));
        };
        using (var response = await world.Gateway.Client.PostJsonAsync("/v1/chat/completions", CacheWorld.Chat(stream: true)))
            await SeenStream.ReadAsync(response, TestContext.Current.CancellationToken);
        world.Upstream.Answer = works;
        var seen = await world.SendAsync(CacheWorld.Chat());
        Assert.Equal("miss", seen.Cache);
        Assert.Equal("hit", (await world.SendAsync(CacheWorld.Chat())).Cache);
    }

    [Fact]
    public async Task Output_ToolCalls_AreNotKept()
    {
        await using var world = await CacheWorld.StartAsync();
        // The server says that it stopped by itself.
        world.Upstream.Answer = context => FakeUpstream.Json(context,
            """{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":3,"total_tokens":14}}""");
        var body = CacheWorld.Chat(more: """ "temperature":0,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"fairlead":{"cache":{"mode":"on"}} """);
        Assert.Equal("miss", (await world.SendAsync(body)).Cache);
        Assert.Equal("miss", (await world.SendAsync(body)).Cache);
    }

    [Fact]
    public async Task Output_ClientLeaves_IsNotKept()
    {
        await using var world = await CacheWorld.StartAsync();
        var works = world.Upstream.Answer;
        world.Upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{\"content\":\"half\"}"));
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        };
        using (var leave = new CancellationTokenSource())
        {
            using var response = await world.Gateway.Client.PostJsonAsync("/v1/chat/completions", CacheWorld.Chat(stream: true), cancellationToken: leave.Token);
            await leave.CancelAsync();
        }
        await world.AuditAsync(1);
        world.Upstream.Answer = works;
        Assert.Equal("miss", (await world.SendAsync(CacheWorld.Chat())).Cache);
        world.AssertAtRest();
    }

    [Fact]
    public async Task Structured_InvalidOutput_IsNotKept()
    {
        await using var world = await CacheWorld.StartAsync();
        world.Upstream.Answer = context => CacheWorld.AnswerAsync(context, "not json");
        const string Body = """{"model":"m","input":"x","sampling":{"temperature":0},"output":{"format":"json_schema","structured":"partial","schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}},"delivery":{"mode":"sync"},"cache":{"mode":"on"}}""";
        Assert.Equal("miss", (await CacheWorld.SendAsync(world.Gateway.Client, "/v2/generations", Body)).Cache);
        world.Upstream.Answer = context => CacheWorld.AnswerAsync(context, """{"a":1}""");
        var second = await CacheWorld.SendAsync(world.Gateway.Client, "/v2/generations", Body);
        Assert.Equal("miss", second.Cache);
        var third = await CacheWorld.SendAsync(world.Gateway.Client, "/v2/generations", Body);
        Assert.Equal("hit", third.Cache);
        Assert.True(third.Fairlead.GetProperty("quality").GetProperty("schema_valid").GetBoolean());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Hit_Logprobs_AreKept(bool stream)
    {
        await using var world = await CacheWorld.StartAsync();
        const string Logprobs = """{"content":[{"token":"hello","logprob":-0.25,"bytes":[104],"top_logprobs":[{"token":"hi","logprob":-2.5,"bytes":null}]}],"refusal":null}""";
        world.Upstream.Answer = context => FakeUpstream.Json(context, FakeUpstream.Completion("hello").Replace("\"logprobs\":null", "\"logprobs\":" + Logprobs, StringComparison.Ordinal));
        var body = CacheWorld.Chat(more: "\"temperature\":0,\"logprobs\":true,\"top_logprobs\":1,\"fairlead\":{" + Wish + "}");
        var first = await world.SendAsync(body);
        var expected = first.Json.GetProperty("choices")[0].GetProperty("logprobs").GetRawText();
        Assert.Contains("-2.5", expected, StringComparison.Ordinal);
        var hit = await world.SendAsync(stream ? body[..^1] + ",\"stream\":true}" : body);
        Assert.Equal("hit", hit.Cache);
        Assert.Contains(expected, hit.Body, StringComparison.Ordinal);
        Assert.Equal(-0.25, hit.Fairlead.GetProperty("quality").GetProperty("mean_logprob").GetDouble());
    }

    [Fact]
    public async Task Projects_DoNotShare()
    {
        await using var world = await CacheWorld.StartAsync();
        await world.SendAsync(CacheWorld.Chat());
        using var other = await OtherProjectAsync(world.Gateway);
        Assert.Equal("miss", (await CacheWorld.SendAsync(other, "/v1/chat/completions", CacheWorld.Chat())).Cache);
        Assert.Equal("hit", (await world.SendAsync(CacheWorld.Chat())).Cache);
    }

    [Fact]
    public async Task Disabled_RequestAsks_HasNoHeader()
    {
        await using var world = await CacheWorld.StartAsync("");
        Assert.Null((await world.SendAsync(CacheWorld.Chat())).Cache);
        Assert.Null((await world.SendAsync(CacheWorld.Chat())).Cache);
        Assert.Equal(2, world.Calls);
        Assert.Equal(504, (await world.SendAsync(CacheWorld.Chat(), ("Cache-Control", "only-if-cached"))).Status);
    }

    internal static async Task<HttpClient> OtherProjectAsync(TestGateway gateway)
    {
        var organization = await gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"Other"}""");
        var project = await gateway.Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"Other","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var key = await gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project.GetProperty("id").GetString()}}"}""");
        return gateway.MakeClient(key.GetProperty("secret").GetString());
    }

    private static string Body(string path, bool stream) => path switch
    {
        "/v1/messages" => $$"""{"model":"m","max_tokens":100,"temperature":0,"messages":[{"role":"user","content":"hi"}],"fairlead":{{{Wish}}}{{Stream(stream)}}}""",
        "/v1/responses" => $$"""{"model":"m","temperature":0,"input":"hi","store":false,"fairlead":{{{Wish}}}{{Stream(stream)}}}""",
        "/v2/generations" => $$"""{"model":"m","sampling":{"temperature":0},"input":"hi",{{Wish}},"delivery":{"mode":"{{(stream ? "stream" : "sync")}}"} }""",
        _ => CacheWorld.Chat(stream: stream),
    };

    private static string Stream(bool stream) => stream ? ",\"stream\":true" : "";

    /// <summary>The time of the machine, plus what a test adds.</summary>
    private sealed class ShiftedTime : TimeProvider
    {
        public TimeSpan Shift { get; set; }

        public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + Shift;
    }
}
