using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Http;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Generations;

public sealed class SqliteGenerationListTests() : GenerationListTests(StorageProvider.Sqlite);

public sealed class PostgresGenerationListTests() : GenerationListTests(StorageProvider.Postgres);

/// <summary><c>GET /v2/generations</c> lists every call of a project: stored ones and all others, each once.</summary>
public abstract class GenerationListTests : IAsyncLifetime
{
    private const string Messages = "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]";

    private readonly StorageProvider _store;
    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private protected GenerationListTests(StorageProvider store) => _store = store;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync(_store, _upstream.Yaml() + """

              jobs: { backoff: 1ms, resultTtl: 2s }
              retry: { maxRetries: 0 }
            """);
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task List_CallsOfAllDialectsAndDeliveries_ShowsEachOnceNewestFirst()
    {
        var ids = new List<string>();
        async Task Call(string path, string body) => ids.Add(await CallAsync(path, body));
        await Call("/v1/chat/completions", "{\"model\":\"sim-fast\"," + Messages + "}");
        await Call("/v1/chat/completions", "{\"model\":\"sim-fast\",\"stream\":true," + Messages + "}");
        await Call("/v2/generations", """{"model":"sim-fast","input":"hi","delivery":{"mode":"job"}}""");
        await WaitAsync(ids[^1]);
        await Call("/v1/completions", """{"model":"sim-fast","prompt":"hi"}""");
        await Call("/v1/embeddings", """{"model":"sim-embed","input":"hi"}""");
        await Call("/v1/messages", "{\"model\":\"sim-fast\",\"max_tokens\":9," + Messages + "}");
        await Call("/v1/responses", """{"model":"sim-fast","input":"hi","background":true}""");
        await WaitAsync(ids[^1]);
        await Call("/v1/responses", """{"model":"sim-fast","input":"hi","store":false}""");
        await Call("/v2/generations", """{"model":"sim-fast","input":"hi"}""");
        await Call("/v2/generations", """{"model":"sim-fast","input":"hi","store":true}""");
        await Call("/v2/generations", """{"model":"sim-fast","input":"hi","store":true,"delivery":{"mode":"sync"}}""");
        await Call("/v1/chat/completions", "{\"model\":\"nothing\"," + Messages + "}");
        ids.Reverse();
        foreach (var limit in (int[])[1, 3, 100]) Assert.Equal(ids, await ListAsync("limit=" + limit));

        // Another project sees none of them.
        var organization = Text(await _gateway.Admin.GetJsonAsync("/admin/v1/projects/" + _gateway.ProjectId), "organization_id");
        var project = await _gateway.Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"Other","organization_id":"{{organization}}"}""", HttpStatusCode.Created);
        var key = await _gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"other","project_id":"{{Text(project, "id")}}"}""", HttpStatusCode.Created);
        using var other = _gateway.MakeClient(Text(key, "secret"));
        Assert.Empty((await other.GetJsonAsync("/v2/generations")).GetProperty("data").EnumerateArray());
    }

    [Fact]
    public async Task List_Filters_SelectFromStoredAndOtherCallsAlike()
    {
        var chat = await CallAsync("/v1/chat/completions", "{\"model\":\"sim-fast\",\"user\":\"ada\",\"metadata\":{\"ticket\":\"7\"}," + Messages + "}");
        var job = await CallAsync("/v1/chat/completions", "{\"model\":\"sim-fast\",\"safety_identifier\":\"ada\",\"metadata\":{\"ticket\":\"8\"}," + Messages + "}", prefer: true);
        await WaitAsync(job);
        var own = await CallAsync("/v2/generations", """{"model":"sim-echo","input":"hi","user":"bob","metadata":{"ticket":"7"},"delivery":{"mode":"sync"}}""");
        var kept = await CallAsync("/v2/generations", """{"model":"sim-echo","input":"hi","user":"bob","safety_identifier":"ada","metadata":{"ticket":"7"},"store":true,"delivery":{"mode":"sync"},"sampling":{"max_output_tokens":1}}""");
        var failed = await CallAsync("/v1/chat/completions", "{\"model\":\"nothing\"," + Messages + "}");
        await AssertListAsync("", failed, kept, own, job, chat);
        await AssertListAsync("user=ada", kept, job, chat);
        await AssertListAsync("user=bob", own);
        await AssertListAsync("metadata.ticket=7", kept, own, chat);
        await AssertListAsync("metadata.ticket=8", job);
        await AssertListAsync("metadata.ticket=9");
        await AssertListAsync("metadata.ticket=7&user=ada&dialect=fairlead", kept);
        await AssertListAsync("dialect=openai.chat", failed, job, chat);
        await AssertListAsync("dialect=fairlead", kept, own);
        await AssertListAsync("model=sim-echo", kept, own);
        await AssertListAsync("status=failed", failed);
        await AssertListAsync("outcome=failed", failed);
        await AssertListAsync("status=completed&outcome=failed");
        await AssertListAsync("status=queued");
        await AssertListAsync("outcome=complete&model=sim-fast", job, chat);
        var created = Text(await _gateway.Client.GetJsonAsync("/v2/generations/" + own), "created_at");
        await AssertListAsync("created_after=" + Uri.EscapeDataString(created), failed, kept, own);
        await AssertListAsync("created_before=" + Uri.EscapeDataString(created), job, chat);
    }

    [Theory]
    [InlineData("status=done", "status")]
    [InlineData("outcome=nice", "outcome")]
    [InlineData("dialect=latin", "dialect")]
    [InlineData("limit=101", "limit")]
    [InlineData("cursor=x", "cursor")]
    [InlineData("cursor=gen_01ARZ3NDEKTSV4RRFFQ69G5FAV", "cursor")]
    [InlineData("cursor=OTk5OTk5OTk5OTk5OTk5OTk5Li4", "cursor")]
    [InlineData("cursor=Li54IQ", "cursor")]
    [InlineData("cursor=MTcwMDAwMDAwMDAwMC4uZUhn", "cursor")]
    [InlineData("metadata.=x", "metadata.")]
    [InlineData("created_after=now", "created_after")]
    [InlineData("created_after=2026-01-02&created_before=2026-01-01", "created_before")]
    [InlineData("key_id=x", "key_id")]
    public async Task List_InvalidParameter_Returns400ThatNamesIt(string query, string parameter)
    {
        var error = await _gateway.Client.GetJsonAsync("/v2/generations?" + query, HttpStatusCode.BadRequest);
        Assert.Equal("invalid_parameter", Text(error, "code"));
        Assert.Equal("/" + parameter, Text(error.GetProperty("errors")[0], "pointer"));
    }

    [Fact]
    public async Task List_ExpiredJobOfTwoRuns_ShowsItsLastRunOnce()
    {
        var runs = 0;
        _upstream.Answer = context => Interlocked.Increment(ref runs) == 1 ? Json(context, "{\"error\":{\"message\":\"busy\"}}", 503) : Json(context, Completion("done"));
        var id = await CallAsync("/v1/embeddings", """{"model":"sim-embed","input":"before"}""");
        var job = await CallAsync("/v1/chat/completions", "{\"model\":\"m\"," + Messages + "}", prefer: true);
        await WaitAsync(job);
        Assert.Equal(2, runs);
        JsonElement shown;
        do shown = await _gateway.Client.GetJsonAsync("/v2/generations/" + job);
        while (shown.GetProperty("content_stored").GetBoolean());
        Assert.Equal("completed", Text(shown, "status"));
        foreach (var limit in (int[])[1, 2, 50]) Assert.Equal([job, id], await ListAsync("limit=" + limit));
        await AssertListAsync("status=completed&model=m", job);
        await AssertListAsync("status=failed");
        await AssertListAsync("model=m", job);
        var failed = await CallAsync("/v1/chat/completions", "{\"model\":\"nothing\"," + Messages + "}");
        await AssertListAsync("status=failed", failed);
    }

    private async Task AssertListAsync(string filter, params string[] ids)
    {
        foreach (var limit in (int[])[1, 20]) Assert.Equal(ids, await ListAsync($"{filter}&limit={limit}".TrimStart('&')));
    }

    private async Task<List<string>> ListAsync(string query)
    {
        var seen = new List<string>();
        string? cursor = null;
        do
        {
            var page = await _gateway.Client.GetJsonAsync($"/v2/generations?{query}{(cursor is null ? "" : "&cursor=" + cursor)}", HttpStatusCode.OK);
            seen.AddRange(page.GetProperty("data").EnumerateArray().Select(row => Text(row, "id")));
            cursor = page.GetProperty("next_cursor").GetString();
            Assert.True(seen.Count < 1000);
        }
        while (cursor is not null);
        return seen;
    }

    private Task<JsonElement> WaitAsync(string id) => _gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60", HttpStatusCode.OK);

    private async Task<string> CallAsync(string path, string body, bool prefer = false)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(body, System.Text.Encoding.UTF8, "application/json") };
        if (prefer) request.Headers.Add("Prefer", "respond-async");
        using var response = await _gateway.Client.SendAsync(request, Cancel);
        await response.Content.ReadAsStringAsync(Cancel);
        return response.Headers.GetValues("Fairlead-Generation").Single();
    }

    private static string Text(JsonElement json, string name) => json.GetProperty(name).GetString()!;
}
