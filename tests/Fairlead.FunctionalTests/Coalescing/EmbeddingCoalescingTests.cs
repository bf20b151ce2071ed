using System.Net;
using System.Text.Json;
using Fairlead.Coalescing;
using Fairlead.FunctionalTests.Common;
using Fairlead.Limits;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Coalescing;

/// <summary>Equal inputs of embeddings that are in progress are computed once, and paid once.</summary>
public sealed class EmbeddingCoalescingTests : IAsyncLifetime
{
    private EmbeddingUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _upstream = await EmbeddingUpstream.StartAsync();

    public async ValueTask DisposeAsync()
    {
        if (_gateway is not null)
        {
            _upstream.Release();
            await _gateway.DisposeAsync();
        }
        await _upstream.DisposeAsync();
    }

    [Fact]
    public async Task Embeddings_HundredCallsWithTenCommonInputs_ComputesEachInputOnce()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        string[] common = [.. Enumerable.Range(0, 10).Select(i => $"common text {i}")];
        var calls = Enumerable.Range(0, 100).Select(call =>
        {
            string[] own = [.. Enumerable.Range(0, 10).Select(i => $"text {i} of call {call} alone")];
            // The common ones are anywhere among the own.
            string[] inputs = call % 2 == 0 ? [.. common, .. own] : [.. own[..5], .. common.Reverse(), .. own[5..]];
            return (Inputs: inputs, Response: EmbedAsync(inputs));
        }).ToList();

        await _upstream.ArrivedAsync(1010, Token);
        _upstream.Release();
        var cost = 0m;
        var coalesced = 0;
        foreach (var (inputs, response) in calls)
        {
            var json = await response;
            AssertVectors(inputs, json);
            cost += Cost(json);
            if (json.GetProperty("fairlead").GetProperty("coalesced").GetBoolean()) coalesced++;
            Assert.Equal(inputs.Sum(EmbeddingUpstream.TokensOf), json.GetProperty("usage").GetProperty("prompt_tokens").GetInt64());
        }

        Assert.Equal(1010, _upstream.Computed.Count());
        Assert.Equal(1010, _upstream.Computed.Distinct().Count());
        Assert.Equal(99, coalesced);
        // All of it is paid, and nothing twice.
        Assert.Equal(_upstream.Tokens / 1_000_000m, cost);
        var records = await AuditAsync(100);
        Assert.Equal(_upstream.Tokens / 1_000_000m, records.Sum(record => record.GetProperty("cost_usd").GetDecimal()));
        Assert.Equal(99, records.Count(record => record.TryGetProperty("coalesced", out var value) && value.GetBoolean()));
        AssertAtRest();
    }

    [Fact]
    public async Task Embeddings_PayerLeaves_NextPaysAndRequestGoesOn()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        using var leave = new CancellationTokenSource();
        var first = EmbedAsync(["shared"], leave.Token);
        await _upstream.ArrivedAsync(1, Token);
        // Its own input arrives after it has joined the other.
        var second = EmbedAsync(["shared", "own"]);
        await _upstream.ArrivedAsync(2, Token);
        await leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        var left = Assert.Single(await AuditAsync(1));
        Assert.Equal(("cancelled", 0m), (left.GetProperty("outcome").GetString(), left.GetProperty("cost_usd").GetDecimal()));
        Assert.Equal(0, _upstream.Aborted);

        _upstream.Release();
        var json = await second;
        AssertVectors(["shared", "own"], json);
        Assert.Equal(EmbeddingUpstream.UsdOf("shared", "own"), Cost(json));
        Assert.False(json.GetProperty("fairlead").GetProperty("coalesced").GetBoolean());
        Assert.Equal(["shared", "own"], _upstream.Computed);
        AssertAtRest();
    }

    [Fact]
    public async Task Embeddings_FollowerLeaves_OthersGetTheirs()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        var first = EmbedAsync(["shared"]);
        await _upstream.ArrivedAsync(1, Token);
        using var leave = new CancellationTokenSource();
        var second = EmbedAsync(["shared", "own"], leave.Token);
        await _upstream.ArrivedAsync(2, Token);
        await leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        var left = Assert.Single(await AuditAsync(1));
        // Only what nobody else needed: an estimate of its own input.
        Assert.Equal(1 / 1_000_000m, left.GetProperty("cost_usd").GetDecimal());
        _upstream.Release();
        Assert.Equal(EmbeddingUpstream.UsdOf("shared"), Cost(await first));
        AssertAtRest();
    }

    [Fact]
    public async Task Embeddings_AllLeave_RequestIsAborted()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        using var leaveFirst = new CancellationTokenSource();
        using var leaveSecond = new CancellationTokenSource();
        var first = EmbedAsync(["shared"], leaveFirst.Token);
        await _upstream.ArrivedAsync(1, Token);
        var second = EmbedAsync(["shared", "own"], leaveSecond.Token);
        await _upstream.ArrivedAsync(2, Token);
        await leaveFirst.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        Assert.Equal(0m, Assert.Single(await AuditAsync(1)).GetProperty("cost_usd").GetDecimal());
        Assert.Equal(0, _upstream.Aborted);
        await leaveSecond.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        // Estimates, of its own input and of the one that went on for it.
        Assert.Equal(3 / 1_000_000m, (await AuditAsync(2)).Sum(record => record.GetProperty("cost_usd").GetDecimal()));
        await _upstream.Server.Aborted.Task.WaitAsync(TimeSpan.FromSeconds(60), Token);
        AssertAtRest();
    }

    [Fact]
    public async Task Embeddings_InvalidInputInBatch_FailsOnlyItsCall()
    {
        // Everything behind the first request is sent together.
        _gateway = await TestGateway.StartAsync(_upstream.Yaml("  coalescing: { embeddings: true, batchDelay: 100ms, batchInputs: 3 }"));
        _upstream.StatusOf = inputs => inputs.Contains("bad") ? 400 : null;
        var first = EmbedAsync(["first"]);
        await _upstream.ArrivedAsync(1, Token);
        var bad = _gateway.Client.PostJsonAsync("/v1/embeddings", Body(["bad"]));
        var good = EmbedAsync(["good", "fine"]);
        await _upstream.ArrivedAsync(4, Token);
        Assert.Equal(3, _upstream.Requests.Last().Length);
        _upstream.Release();
        await first;
        using var refused = await bad;
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        var json = await good;
        AssertVectors(["good", "fine"], json);
        Assert.Equal(EmbeddingUpstream.UsdOf("good", "fine"), Cost(json));
        Assert.Single(json.GetProperty("fairlead").GetProperty("attempts").EnumerateArray());
        AssertAtRest();
    }

    [Fact]
    public async Task Embeddings_ProviderFails_FollowersGetSameErrorWithoutAttempt()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        _upstream.StatusOf = _ => 500;
        var calls = new List<Task<HttpResponseMessage>> { _gateway.Client.PostJsonAsync("/v1/embeddings", Body(["shared"])) };
        await _upstream.ArrivedAsync(1, Token);
        for (var i = 0; i < 5; i++) calls.Add(_gateway.Client.PostJsonAsync("/v1/embeddings", Body(["shared"])));
        await FollowedAsync(5);
        _upstream.Release();
        foreach (var call in calls)
        {
            using var response = await call;
            Assert.Equal(HttpStatusCode.BadGateway, response.StatusCode);
        }
        Assert.Single(_upstream.Requests);
        AssertAtRest();
    }

    [Fact]
    public async Task Embeddings_OwnerIsRefused_FollowerComputesItself()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        _upstream.StatusOf = inputs => inputs.Contains("bad") ? 400 : null;
        var bad = _gateway.Client.PostJsonAsync("/v1/embeddings", Body(["shared", "bad"]));
        await _upstream.ArrivedAsync(2, Token);
        var good = EmbedAsync(["shared"]);
        await FollowedAsync(1);
        _upstream.Release();
        using var refused = await bad;
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        var json = await good;
        AssertVectors(["shared"], json);
        Assert.Equal(EmbeddingUpstream.UsdOf("shared"), Cost(json));
        AssertAtRest();
    }

    [Fact]
    public async Task Embeddings_OtherProjectOrParameters_IsNotShared()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        var organization = await _gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"Other"}""");
        var project = await _gateway.Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"Other","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var key = await _gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project.GetProperty("id").GetString()}}","scopes":["embeddings"]}""");
        using var other = _gateway.MakeClient(key.GetProperty("secret").GetString());
        var calls = new[]
        {
            _gateway.Client.PostForJsonAsync("/v1/embeddings", """{"model":"vectors","input":"x"}"""),
            other.PostForJsonAsync("/v1/embeddings", """{"model":"vectors","input":"x"}"""),
            _gateway.Client.PostForJsonAsync("/v1/embeddings", """{"model":"vectors","input":"x","encoding_format":"base64"}"""),
            _gateway.Client.PostForJsonAsync("/v1/embeddings", """{"model":"vectors","input":"x","tomorrow":true}"""),
        };
        await _upstream.ArrivedAsync(4, Token);
        _upstream.Release();
        foreach (var json in await Task.WhenAll(calls)) Assert.False(json.GetProperty("fairlead").GetProperty("coalesced").GetBoolean());
    }

    [Theory]
    [InlineData(false, false, false)]
    [InlineData(true, false, false)]
    [InlineData(false, true, false)]
    [InlineData(true, true, true)]
    public async Task Embeddings_OtherOrganization_IsSharedByConsentOfBoth(bool firstAgrees, bool secondAgrees, bool shared)
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml(""));
        using var first = await ClientOfAsync("First", firstAgrees);
        using var second = await ClientOfAsync("Second", secondAgrees);
        const string body = """{"model":"vectors","input":"x"}""";
        var calls = new List<Task<JsonElement>> { first.PostForJsonAsync("/v1/embeddings", body) };
        await _upstream.ArrivedAsync(1, Token);
        calls.Add(second.PostForJsonAsync("/v1/embeddings", body));
        if (shared) await FollowedAsync(1);
        else await _upstream.ArrivedAsync(2, Token);
        _upstream.Release();
        var responses = await Task.WhenAll(calls);
        Assert.Equal([false, shared], responses.Select(json => json.GetProperty("fairlead").GetProperty("coalesced").GetBoolean()));
        Assert.Equal(shared ? 1 : 2, _upstream.Requests.Count);
        // Each sees its own records only, and pays only what it asked for first.
        Assert.Equal([EmbeddingUpstream.UsdOf("x"), shared ? 0m : EmbeddingUpstream.UsdOf("x")], responses.Select(Cost));
        AssertAtRest();
    }

    [Fact]
    public async Task Organization_SharingIsWithdrawn_IsNotSharedAnyMore()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml(""));
        var made = await _gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"A","share_across_organizations":true}""");
        Assert.True(made.GetProperty("share_across_organizations").GetBoolean());
        var address = $"/admin/v1/organizations/{made.GetProperty("id").GetString()}";
        foreach (var (change, expected) in new[] { ("""{"name":"B"}""", true), ("""{"share_across_organizations":null}""", false) })
        {
            using var content = new StringContent(change, System.Text.Encoding.UTF8, "application/json");
            using var response = await _gateway.Admin.PatchAsync(new Uri(address, UriKind.Relative), content, Token);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.Equal(expected, (await _gateway.Admin.GetJsonAsync(address)).GetProperty("share_across_organizations").GetBoolean());
        }
    }

    private async Task<HttpClient> ClientOfAsync(string name, bool agrees)
    {
        var organization = await _gateway.Admin.PostForJsonAsync("/admin/v1/organizations", $$"""{"name":"{{name}}","share_across_organizations":{{(agrees ? "true" : "false")}}}""");
        var project = await _gateway.Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"p","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var key = await _gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project.GetProperty("id").GetString()}}","scopes":["embeddings"]}""");
        return _gateway.MakeClient(key.GetProperty("secret").GetString());
    }

    [Fact]
    public async Task Embeddings_SameInputInOtherForm_IsShared()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        var first = EmbedAsync(["x y"]);
        await _upstream.ArrivedAsync(1, Token);
        var calls = new[]
        {
            _gateway.Client.PostForJsonAsync("/v1/embeddings", """{"input":"x\u0020y","user":"somebody","model":"vectors"}"""),
            _gateway.Client.PostForJsonAsync("/v1/embeddings", """{ "fairlead": {"class":"standard"}, "model": "vectors", "input": ["x y", "x y"] }"""),
        };
        await FollowedAsync(2);
        _upstream.Release();
        await first;
        foreach (var call in calls)
        {
            var json = await call;
            Assert.True(json.GetProperty("fairlead").GetProperty("coalesced").GetBoolean());
            Assert.Equal(0m, Cost(json));
            Assert.Empty(json.GetProperty("fairlead").GetProperty("attempts").EnumerateArray());
            Assert.Equal("up", json.GetProperty("fairlead").GetProperty("provider").GetString());
            Assert.Equal("north", json.GetProperty("region").GetString());
        }
        AssertVectors(["x y", "x y"], await calls[1]);
        Assert.Single(_upstream.Computed);
        AssertAtRest();
    }

    [Fact]
    public async Task Embeddings_ProviderTakesFewerInputs_SendsSeveralRequests()
    {
        var yaml = _upstream.Yaml().Replace("kind: openai, baseUrl: " + _upstream.Server.Url + "/v1", "kind: gemini, baseUrl: " + _upstream.Server.Url, StringComparison.Ordinal);
        _gateway = await TestGateway.StartAsync(yaml);
        _upstream.Release();
        string[] inputs = [.. Enumerable.Range(0, 250).Select(i => $"text {i}")];
        AssertVectors(inputs, await EmbedAsync(inputs));
        Assert.Equal([100, 100, 50], _upstream.Requests.Select(request => request.Length));
    }

    [Fact]
    public async Task Embeddings_Alone_GetsResponseOfProviderByteForByte()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        _upstream.Release();
        using var response = await _gateway.Client.PostJsonAsync("/v1/embeddings", """{ "model" : "vectors", "input":[ "a", "bc" ], "more":{"kept":1.50} }""");
        var text = await response.Content.ReadAsStringAsync(Token);
        Assert.Contains("\"embedding\":[1.000000000000,97.000000000000", text, StringComparison.Ordinal);
        Assert.Contains("\"region\":\"north\"", text, StringComparison.Ordinal);
        Assert.Equal("""{ "model" : "upstream-vectors", "input":[ "a", "bc" ], "more":{"kept":1.50} }""", _upstream.Server.Requests.Single().Body);
    }

    [Fact]
    public async Task Embeddings_SwitchedOff_ComputesEveryCall()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml("  coalescing: { embeddings: false }"));
        var calls = Enumerable.Range(0, 3).Select(_ => EmbedAsync(["x"])).ToList();
        await _upstream.ArrivedAsync(3, Token);
        _upstream.Release();
        foreach (var json in await Task.WhenAll(calls)) Assert.Equal(EmbeddingUpstream.UsdOf("x"), Cost(json));
    }

    [Fact]
    public async Task Embeddings_NothingConfigured_AreShared()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml(""));
        var first = EmbedAsync(["x"]);
        await _upstream.ArrivedAsync(1, Token);
        var second = EmbedAsync(["x"]);
        await FollowedAsync(1);
        _upstream.Release();
        await first;
        Assert.Equal(0m, Cost(await second));
        Assert.Single(_upstream.Computed);
    }

    [Fact]
    public async Task Embeddings_FirstKeyIsRejected_AllCallsGoOnWithTheOther()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml("")
            .Replace("apiKey: sk-upstream-secret", "apiKeys: [sk-old, sk-new]", StringComparison.Ordinal));
        _upstream.StatusOfKey = key => key == "Bearer sk-old" ? 401 : null;
        var calls = Enumerable.Range(0, 20).Select(i => EmbedAsync([$"text {i}", "common"])).ToList();
        _upstream.Release();
        for (var i = 0; i < calls.Count; i++) AssertVectors([$"text {i}", "common"], await calls[i]);
        AssertAtRest();
    }

    [Fact]
    public async Task Embeddings_SharedRequestFails_CountsAsOneFailureOfTheDeployment()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml("  breaker: { failures: 3 }\n  coalescing: { batchDelay: 100ms, batchInputs: 10 }"));
        _upstream.StatusOf = inputs => inputs.Length > 1 ? 500 : null;
        var first = EmbedAsync(["first"]);
        await _upstream.ArrivedAsync(1, Token);
        var calls = Enumerable.Range(0, 10).Select(i => _gateway.Client.PostJsonAsync("/v1/embeddings", Body([$"text {i}"]))).ToList();
        await _upstream.ArrivedAsync(11, Token);
        _upstream.Release();
        await first;
        foreach (var call in calls)
        {
            using var response = await call;
            Assert.Equal(HttpStatusCode.BadGateway, response.StatusCode);
        }
        Assert.Equal(2, _upstream.Requests.Count);
        // The breaker is closed: the next call goes there.
        AssertVectors(["next"], await EmbedAsync(["next"]));
    }

    private Task<JsonElement> EmbedAsync(string[] inputs, CancellationToken? cancellationToken = null) => SendAsync(Body(inputs), cancellationToken);

    private async Task<JsonElement> SendAsync(string body, CancellationToken? cancellationToken)
    {
        using var response = await _gateway.Client.PostJsonAsync("/v1/embeddings", body, cancellationToken: cancellationToken);
        var text = await response.Content.ReadAsStringAsync(cancellationToken ?? Token);
        Assert.True(response.IsSuccessStatusCode, text);
        return JsonDocument.Parse(text).RootElement;
    }

    private static string Body(string[] inputs) => $$"""{"model":"vectors","input":{{JsonSerializer.Serialize(inputs)}}}""";

    private static decimal Cost(JsonElement json) => json.GetProperty("fairlead").GetProperty("cost").GetProperty("usd").GetDecimal();

    private static void AssertVectors(string[] inputs, JsonElement json)
    {
        var data = json.GetProperty("data").EnumerateArray().ToList();
        Assert.Equal(inputs.Length, data.Count);
        for (var i = 0; i < inputs.Length; i++)
        {
            Assert.Equal(i, data[i].GetProperty("index").GetInt32());
            Assert.Equal(EmbeddingUpstream.VectorOf(inputs[i]), data[i].GetProperty("embedding").EnumerateArray().Select(value => value.GetSingle()));
        }
    }

    // Without a signal over HTTP: a call that only follows sends nothing.
    private async Task FollowedAsync(int calls)
    {
        var flights = _gateway.Services.GetRequiredService<EmbeddingFlights>();
        while (flights.Followers < calls) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);
    }

    private void AssertAtRest()
    {
        Assert.Equal(0, _gateway.Services.GetRequiredService<EmbeddingFlights>().Count);
        var totals = _gateway.Services.GetRequiredService<InMemoryTokenLedger>().Totals();
        Assert.Equal((0, 0L, 0m), (totals.Open, totals.HeldTokens, totals.HeldUsd));
    }

    private async Task<IReadOnlyList<JsonElement>> AuditAsync(int expected)
    {
        while (true)
        {
            var records = (await _gateway.Admin.GetJsonAsync("/admin/v1/audit?limit=200")).GetProperty("data").EnumerateArray().ToList();
            if (records.Count >= expected) return records;
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, Token);
        }
    }
}
