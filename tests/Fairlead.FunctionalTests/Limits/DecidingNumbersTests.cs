using System.Globalization;
using System.Net;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>
/// The numbers that clients see are those that decide, in every API: what remains is served and no more, and the stated wait is exactly
/// enough. Each test has a key of its own, and nobody else calls.
/// </summary>
public sealed class DecidingNumbersTests(StoppedGateway fixture) : IClassFixture<StoppedGateway>
{
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);

    /// <summary>About 1,500 tokens.</summary>
    private static readonly string Text = string.Concat(Enumerable.Repeat("word ", 1500));

    private const int MaxOutput = 1000;

    public static TheoryData<string> Apis => [.. LimitedApi.All.Select(api => api.Name)];

    public static TheoryData<string, string> TokenLimits => [.. LimitedApi.All.SelectMany(api => Limits(api).Select(limit => (api.Name, limit)))];

    private static string[] Limits(LimitedApi api) => api.HasOutput ? ["input_tokens_per_minute", "output_tokens_per_minute"] : ["input_tokens_per_minute"];

    [Theory]
    [MemberData(nameof(Apis))]
    public async Task Requests_Remaining_AreServedAndTheStatedWaitIsExact(string name)
    {
        var api = Find(name);
        using var client = await fixture.ClientAsync("\"requests_per_minute\":4");
        for (var remaining = 3; remaining >= 0; remaining--)
        {
            var served = (await api.CallAsync(client)).Served();
            Assert.Equal(remaining, served.RateLimit("key-requests", "r"));
            Assert.Equal(remaining, served.Arrays("limits").Last()[0].GetProperty("remaining").GetInt32());
            if (FamilyHeader(api) is { } header) Assert.Equal(remaining.ToString(CultureInfo.InvariantCulture), served.Header(header));
        }

        var refused = await api.CallAsync(client);
        var (error, details) = refused.Refused();
        Assert.Equal(("requests_per_minute", "key", 4, 0), (details.GetProperty("name").GetString(), details.GetProperty("scope").GetString(), details.GetProperty("limit").GetInt32(), details.GetProperty("remaining").GetInt32()));
        // One request comes back every 15 seconds, and all of them in a minute.
        Assert.Equal(fixture.Clock.GetUtcNow().AddMinutes(1), details.GetProperty("resets_at").GetDateTimeOffset());
        Assert.Equal((15_000, 15_000, false), (error.GetProperty("retry_after_ms").GetInt64(), details.GetProperty("retry_after_ms").GetInt64(), details.GetProperty("estimated").GetBoolean()));
        Assert.Equal(("15", "15000", null), (refused.Header("Retry-After"), refused.Header("retry-after-ms"), refused.Header("x-should-retry")));
        Assert.Equal((0, 15), (refused.RateLimit("key-requests", "r"), refused.RateLimit("key-requests", "t")));

        fixture.Clock.Advance(TimeSpan.FromSeconds(15) - Tick);
        var early = await api.CallAsync(client);
        early.Refused();
        Assert.Equal("1", early.Header("retry-after-ms"));
        fixture.Clock.Advance(Tick);
        (await api.CallAsync(client)).Served();
        (await api.CallAsync(client)).Refused();
    }

    [Theory]
    [MemberData(nameof(TokenLimits))]
    public async Task Tokens_AfterTheStatedWait_AreServedAndNotBefore(string name, string limit)
    {
        var api = Find(name);
        // A token comes back every millisecond, and 6,000 fit.
        using var client = await fixture.ClientAsync($"\"{limit}\":60000,\"burst\":0.1");
        var refused = await ExhaustAsync(api, client);
        var (error, details) = refused.Refused();
        Assert.Equal((limit, "key", 6000), (details.GetProperty("name").GetString(), details.GetProperty("scope").GetString(), details.GetProperty("limit").GetInt32()));
        var (requested, remaining) = (details.GetProperty("requested").GetInt64(), details.GetProperty("remaining").GetInt64());
        var wait = error.GetProperty("retry_after_ms").GetInt64();
        Assert.Equal(requested - remaining, wait);
        Assert.Equal(wait.ToString(CultureInfo.InvariantCulture), refused.Header("retry-after-ms"));
        Assert.Equal(((wait + 999) / 1000).ToString(CultureInfo.InvariantCulture), refused.Header("Retry-After"));
        Assert.Equal(remaining, refused.RateLimit(limit == "input_tokens_per_minute" ? "key-input-tokens" : "key-output-tokens", "r"));
        Assert.Equal(fixture.Clock.GetUtcNow().AddMilliseconds(6000 - remaining), details.GetProperty("resets_at").GetDateTimeOffset());

        fixture.Clock.Advance(TimeSpan.FromMilliseconds(wait) - Tick);
        (await api.CallAsync(client, Text, MaxOutput)).Refused();
        fixture.Clock.Advance(Tick);
        (await api.CallAsync(client, Text, MaxOutput)).Served();
    }

    /// <summary>Up to a minute, the wait is in the headers; beyond that, in the body only.</summary>
    [Theory]
    [InlineData(30)]
    [InlineData(60)]
    [InlineData(61)]
    [InlineData(3600)]
    public async Task Budget_AtTheEndOfItsPeriod_IsServedAndNotBefore(int seconds)
    {
        var midnight = new DateTimeOffset(2026, 11, 24, 0, 0, 0, TimeSpan.Zero);
        await using var gateway = await StoppedGateway.StartAsync(midnight.AddSeconds(-seconds));
        var clients = new List<(LimitedApi Api, string Limit, HttpClient Client)>();
        foreach (var api in LimitedApi.All)
        {
            clients.Add((api, "tokens_per_day", await gateway.ClientAsync("\"tokens_per_day\":20000")));
            clients.Add((api, "usd_per_day", await gateway.ClientAsync("\"usd_per_day\":0.02")));
        }
        foreach (var (api, limit, client) in clients)
        {
            var refused = await ExhaustAsync(api, client);
            var (error, details) = refused.Refused(StatusOf(api));
            Assert.Equal((limit, "key", midnight), (details.GetProperty("name").GetString(), details.GetProperty("scope").GetString(), details.GetProperty("resets_at").GetDateTimeOffset()));
            Assert.True(details.GetProperty("requested").GetDecimal() > details.GetProperty("remaining").GetDecimal());
            Assert.Equal((seconds * 1000, false), (error.GetProperty("retry_after_ms").GetInt64(), details.GetProperty("estimated").GetBoolean()));
            var isShort = seconds <= 60;
            Assert.Equal(isShort ? $"{seconds}000" : null, refused.Header("retry-after-ms"));
            Assert.Equal(isShort ? $"{seconds}" : null, refused.Header("Retry-After"));
            // Official clients do not retry 402 anyway.
            if (refused.Status == HttpStatusCode.TooManyRequests) Assert.Equal(isShort ? null : "false", refused.Header("x-should-retry"));
        }

        gateway.Clock.Advance(TimeSpan.FromSeconds(seconds) - Tick);
        foreach (var (api, _, client) in clients) (await api.CallAsync(client, Text, MaxOutput)).Refused(StatusOf(api));
        gateway.Clock.Advance(Tick);
        foreach (var (api, _, client) in clients)
        {
            (await api.CallAsync(client, Text, MaxOutput)).Served();
            client.Dispose();
        }
    }

    [Theory]
    [MemberData(nameof(Apis))]
    public async Task Warning_FromEightyPercent_IsInTheHeaderAndInTheBody(string name)
    {
        var api = Find(name);
        using var client = await fixture.ClientAsync("\"requests_per_minute\":5");
        for (var call = 1; call <= 5; call++)
        {
            var served = (await api.CallAsync(client)).Served();
            Assert.Equal((call, call >= 4), (call, served.WarnsOfLimit));
            Assert.Equal(call >= 4 ? "limit_near" : null, served.Header("Fairlead-Warning"));
        }
    }

    [Theory]
    [MemberData(nameof(Apis))]
    public async Task Warning_OfAHeldBudget_IsInTheHeaderAndInTheBody(string name)
    {
        var api = Find(name);
        // The call holds its worst case, a token for each byte. What it uses in the end is less.
        using var client = await fixture.ClientAsync("\"usd_per_day\":1,\"classes\":{\"standard\":{\"tokens_per_day\":" + (api.HasOutput ? "10500" : "9300") + "}}");
        var served = (await api.CallAsync(client, Text, MaxOutput)).Served();
        Assert.Equal("limit_near", served.Header("Fairlead-Warning"));
        Assert.True(served.WarnsOfLimit, served.Body);
    }

    /// <summary>Calls until a limit refuses one.</summary>
    private static async Task<LimitedResponse> ExhaustAsync(LimitedApi api, HttpClient client)
    {
        for (var calls = 0; calls < 30; calls++)
        {
            var response = await api.CallAsync(client, Text, MaxOutput);
            if (response.Status == HttpStatusCode.OK) continue;
            Assert.True(calls > 0, $"{api}: {response.Body}");
            return response;
        }
        throw new InvalidOperationException($"{api}: no call was refused.");
    }

    private static LimitedApi Find(string name) => LimitedApi.All.Single(api => api.Name == name);

    private static HttpStatusCode StatusOf(LimitedApi api) =>
        api.Errors == ErrorShape.Anthropic ? HttpStatusCode.PaymentRequired : HttpStatusCode.TooManyRequests;

    private static string? FamilyHeader(LimitedApi api) => api.Errors switch
    {
        ErrorShape.OpenAi => "x-ratelimit-remaining-requests",
        ErrorShape.Anthropic => "anthropic-ratelimit-requests-remaining",
        _ => null,
    };
}
