using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Responses;

public sealed class SqliteResponsesTests() : ResponsesTests(StorageProvider.Sqlite);

public sealed class PostgresResponsesTests() : ResponsesTests(StorageProvider.Postgres);

/// <summary>Responses over HTTP: by translation, as it came, and with everything that can go wrong on the way.</summary>
public abstract class ResponsesTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private readonly StorageProvider _store;
    private TestGateway _gateway = null!;

    private protected ResponsesTests(StorageProvider store) => _store = store;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync(_store, _upstream.Yaml("""
              retry: { maxRetries: 1, baseDelay: 1ms, maxDelay: 5ms }
            """.Replace("\n    ", "\n  ", StringComparison.Ordinal)));
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Create_ModelOfOtherDialect_IsTranslated()
    {
        var response = await CreateAsync("""{"model":"sim-echo","input":[{"role":"user","content":[{"type":"input_text","text":"a bowline"}]}]}""");
        Assert.Equal("completed", response.GetProperty("status").GetString());
        Assert.StartsWith("resp_", response.GetProperty("id").GetString(), StringComparison.Ordinal);
        Assert.Equal("a bowline", response.GetProperty("output")[0].GetProperty("content")[0].GetProperty("text").GetString());
        Assert.True(response.GetProperty("usage").GetProperty("input_tokens").GetInt64() > 0);
        Assert.Equal("complete", response.GetProperty("fairlead").GetProperty("outcome").GetString());
    }

    [Fact]
    public async Task Stream_ModelOfOtherDialect_HasAllEventsInOrder()
    {
        var stream = await _gateway.Client.PostForStreamAsync("/v1/responses", """{"model":"sim-echo","stream":true,"input":"a bowline and a hitch"}""");
        Assert.False(stream.Broken);
        Assert.Equal("[DONE]", stream.Events[^1].Data);
        var events = stream.Events.SkipLast(1).ToList();
        Assert.All(events, e => Assert.Null(e.Id));
        Assert.All(events, e => Assert.Equal(e.Name, e.Json.GetProperty("type").GetString()));
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(e => e.Json.GetProperty("sequence_number").GetInt32()));
        Assert.Equal(
            ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added", "response.output_text.delta", "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"],
            events.Select(e => e.Name!).Where((name, i) => i == 0 || name != events[i - 1].Name));
        Assert.Equal("a bowline and a hitch", string.Concat(events.Where(e => e.Name == "response.output_text.delta").Select(e => e.Json.GetProperty("delta").GetString())));
    }

    [Fact]
    public async Task Create_ProviderOfSameDialect_PassesThroughExceptIds()
    {
        _upstream.Answer = context => Json(context, """{"id":"resp_up","object":"response","created_at":1,"status":"completed","model":"upstream-m-0001","vendor":{"x":1},"output":[{"id":"msg_up","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"hello","annotations":[]}]}],"usage":{"input_tokens":11,"input_tokens_details":{"cached_tokens":4},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":14}}""");
        var response = await CreateAsync("""{"model":"m","input":"hi","custom_field":[1,2],"tools":[{"type":"web_search"}]}""");
        var path = _upstream.Paths.First();
        Assert.EndsWith("/responses", path, StringComparison.Ordinal);
        Assert.True(_upstream.Received.TryPeek(out var sent));
        Assert.Equal("upstream-m", sent.GetProperty("model").GetString());
        Assert.False(sent.GetProperty("store").GetBoolean());
        Assert.Equal(2, sent.GetProperty("custom_field").GetArrayLength());
        Assert.Equal("web_search", sent.GetProperty("tools")[0].GetProperty("type").GetString());
        var text = response.GetRawText();
        Assert.DoesNotContain("_up\"", text, StringComparison.Ordinal);
        Assert.Equal("m", response.GetProperty("model").GetString());
        Assert.Equal(1, response.GetProperty("vendor").GetProperty("x").GetInt32());
        // (7 × 1 + 4 × 0.5 + 3 × 10) / 1,000,000
        Assert.Equal(0.000039m, response.GetProperty("fairlead").GetProperty("cost").GetProperty("usd").GetDecimal());
    }

    [Fact]
    public async Task Stream_SameDialectProviderBreaks_EndsWithErrorAndFailedEvents()
    {
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(
                context,
                """{"type":"response.created","sequence_number":0,"response":{"id":"resp_up","object":"response","status":"in_progress","output":[]}}""",
                """{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_up","type":"message","status":"in_progress","role":"assistant","content":[]}}""",
                """{"type":"response.content_part.added","sequence_number":2,"item_id":"msg_up","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}""",
                """{"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_up","output_index":0,"content_index":0,"delta":"hel","logprobs":[]}""");
        };
        var stream = await _gateway.Client.PostForStreamAsync("/v1/responses", """{"model":"m","stream":true,"input":"hi"}""");
        Assert.False(stream.Broken);
        Assert.Equal(
            [
                "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added", "response.output_text.delta",
                "response.output_item.done", "error", "response.failed",
            ],
            stream.Events.SkipLast(1).Select(e => e.Name));
        var failed = stream.Events[^2].Json.GetProperty("response");
        Assert.Equal("failed", failed.GetProperty("status").GetString());
        Assert.Equal("provider_lost", failed.GetProperty("fairlead").GetProperty("outcome").GetString());
        Assert.DoesNotContain("_up\"", stream.Raw, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stream_FailsBeforeContent_IsRetriedTransparently()
    {
        var tries = 0;
        _upstream.Answer = async context =>
        {
            if (Interlocked.Increment(ref tries) == 1)
            {
                await Json(context, """{"error":{"message":"busy","type":"server_error","code":null,"param":null}}""", 503);
                return;
            }
            await BeginAsync(context);
            await SendAsync(
                context,
                """{"type":"response.output_text.delta","sequence_number":2,"item_id":"msg_up","output_index":0,"content_index":0,"delta":"hello","logprobs":[]}""",
                """{"type":"response.completed","sequence_number":3,"response":{"id":"resp_up","object":"response","status":"completed","model":"x","output":[],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}}""");
        };
        var stream = await _gateway.Client.PostForStreamAsync("/v1/responses", """{"model":"m","stream":true,"input":"hi"}""");
        Assert.Equal(2, tries);
        Assert.Equal("response.completed", stream.Events[^2].Name);
        Assert.Equal(2, stream.Events[^2].Json.GetProperty("response").GetProperty("fairlead").GetProperty("attempts").GetArrayLength());
    }

    [Theory]
    [InlineData("""{"model":"sim-fast","input":"x","tools":[{"type":"web_search"}]}""", "tools[0]", "unsupported_parameter")]
    [InlineData("""{"model":"sim-fast","input":"x","stream":true,"tools":[{"type":"web_search"}]}""", "tools[0]", "unsupported_parameter")]
    [InlineData("""{"model":"sim-fast","input":"x","background":true,"store":false}""", "background", "invalid_value")]
    [InlineData("""{"model":"sim-fast","input":"x","stream":true,"max_output_tokens":1}""", "max_output_tokens", "integer_below_min_value")]
    public async Task Create_UnsupportedRequest_Returns400WithParam(string body, string parameter, string code)
    {
        using var response = await _gateway.Client.PostJsonAsync("/v1/responses", body);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        var error = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("error");
        Assert.Equal(parameter, error.GetProperty("param").GetString());
        Assert.Equal(code, error.GetProperty("code").GetString());
    }

    [Fact]
    public async Task Compact_ProviderOfSameDialect_ForwardsAndBindsResultToProvider()
    {
        _upstream.Answer = context => Json(context, context.Request.Path.Value!.EndsWith("/compact", StringComparison.Ordinal)
            ? """{"id":"resp_up","object":"response.compaction","created_at":1,"output":[{"id":"msg_up","type":"message","role":"user","status":"completed","content":[{"type":"input_text","text":"x"}]},{"id":"cmp_up","type":"compaction","encrypted_content":"sealed-up"}],"usage":{"input_tokens":30,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":37}}"""
            : """{"id":"resp_up2","object":"response","created_at":1,"status":"completed","model":"x","output":[{"type":"message","id":"msg_up2","role":"assistant","status":"completed","content":[{"type":"output_text","text":"aye","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}""");
        var compacted = await _gateway.Client.PostForJsonAsync("/v1/responses/compact", """{"model":"m","input":[{"role":"user","content":"x"}],"instructions":"Be brief"}""");
        Assert.EndsWith("/v1/responses/compact", Assert.Single(_upstream.Paths), StringComparison.Ordinal);
        var sent = Assert.Single(_upstream.Received);
        Assert.Equal("upstream-m", sent.GetProperty("model").GetString());
        Assert.False(sent.TryGetProperty("store", out _));
        Assert.False(sent.TryGetProperty("include", out _));
        Assert.Equal("response.compaction", compacted.GetProperty("object").GetString());
        Assert.Equal(7, compacted.GetProperty("usage").GetProperty("output_tokens").GetInt64());
        Assert.Equal(0.0001m, compacted.GetProperty("fairlead").GetProperty("cost").GetProperty("usd").GetDecimal());
        Assert.DoesNotContain("_up", compacted.GetRawText(), StringComparison.Ordinal);
        Assert.DoesNotContain("sealed-up", compacted.GetRawText(), StringComparison.Ordinal);
        if (File.Exists(OpenResponsesSchema.Path)) Assert.Empty(OpenResponsesSchema.Load().Faults("CompactResource", JsonNode.Parse(compacted.GetRawText())));

        // It is the input of what comes after, at this provider.
        var next = $$"""{"model":"MODEL","input":[{{string.Join(',', compacted.GetProperty("output").EnumerateArray().Select(item => item.GetRawText()))}},{"role":"user","content":"go on"}]}""";
        await _gateway.Client.PostForJsonAsync("/v1/responses", next.Replace("MODEL", "m", StringComparison.Ordinal));
        var back = _upstream.Received.Last().GetProperty("input")[1];
        Assert.Equal("cmp_up", back.GetProperty("id").GetString());
        Assert.Equal("sealed-up", back.GetProperty("encrypted_content").GetString());

        using var elsewhere = await _gateway.Client.PostAsync(new Uri("/v1/responses", UriKind.Relative), new StringContent(next.Replace("MODEL", "sim-fast", StringComparison.Ordinal), Encoding.UTF8, "application/json"), Cancel);
        Assert.Equal(HttpStatusCode.BadRequest, elsewhere.StatusCode);
        using var forged = await _gateway.Client.PostAsync(new Uri("/v1/responses", UriKind.Relative), new StringContent("""{"model":"m","input":[{"type":"compaction","encrypted_content":"mine"},{"role":"user","content":"x"}]}""", Encoding.UTF8, "application/json"), Cancel);
        Assert.Equal(HttpStatusCode.BadRequest, forged.StatusCode);
        Assert.Contains("input[0].encrypted_content", await forged.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Compact_NoProviderOfDialect_IsRefused()
    {
        using var response = await _gateway.Client.PostJsonAsync("/v1/responses/compact", """{"model":"sim-fast","input":"x"}""");
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Contains("unsupported_parameter", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        using var without = await _gateway.Client.PostJsonAsync("/v1/responses/compact", """{"input":"x"}""");
        Assert.Equal(HttpStatusCode.BadRequest, without.StatusCode);
    }

    [Fact]
    public async Task InputTokens_SameRequest_MatchUsageOfActualCall()
    {
        const string Body = """{"model":"sim-echo","input":[{"role":"user","content":"How many are these?"}],"instructions":"Count."}""";
        using var response = await _gateway.Client.PostJsonAsync("/v1/responses/input_tokens", Body);
        var count = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("input_tokens").GetInt64();
        Assert.Equal(count, (await CreateAsync(Body)).GetProperty("usage").GetProperty("input_tokens").GetInt64());
    }

    [Fact]
    public async Task StoredResponse_ReadListAndDelete_OnlyByOwningProject()
    {
        var made = await CreateAsync("""{"model":"sim-echo","input":[{"role":"user","content":"one"},{"role":"assistant","content":"two"},{"role":"user","content":[{"type":"input_text","text":"three"}]}]}""");
        Assert.True(made.GetProperty("store").GetBoolean());
        var id = made.GetProperty("id").GetString()!;
        var read = await _gateway.Client.GetJsonAsync($"/v1/responses/{id}");
        Assert.Equal(made.GetProperty("output").GetRawText(), read.GetProperty("output").GetRawText());
        Assert.Equal("completed", read.GetProperty("status").GetString());

        var first = await _gateway.Client.GetJsonAsync($"/v1/responses/{id}/input_items?order=asc&limit=2");
        Assert.Equal(["one", "two"], first.GetProperty("data").EnumerateArray().Select(item => item.GetProperty("content")[0].GetProperty("text").GetString()));
        Assert.True(first.GetProperty("has_more").GetBoolean());
        var rest = await _gateway.Client.GetJsonAsync($"/v1/responses/{id}/input_items?order=asc&after={first.GetProperty("last_id").GetString()}");
        Assert.Equal("three", Assert.Single(rest.GetProperty("data").EnumerateArray()).GetProperty("content")[0].GetProperty("text").GetString());
        Assert.False(rest.GetProperty("has_more").GetBoolean());
        Assert.Equal(HttpStatusCode.BadRequest, await StatusAsync(_gateway.Client, HttpMethod.Get, $"/v1/responses/{id}/input_items?limit=0"));
        Assert.Equal(HttpStatusCode.BadRequest, await StatusAsync(_gateway.Client, HttpMethod.Get, $"/v1/responses/{id}?stream=true"));
        Assert.Equal(HttpStatusCode.BadRequest, await StatusAsync(_gateway.Client, HttpMethod.Post, $"/v1/responses/{id}/cancel"));

        var organization = await _gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"other"}""");
        var project = await _gateway.Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"other","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var key = await _gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"other","project_id":"{{project.GetProperty("id").GetString()}}"}""");
        using var stranger = _gateway.MakeClient(key.GetProperty("secret").GetString());
        Assert.Equal(HttpStatusCode.NotFound, await StatusAsync(stranger, HttpMethod.Get, $"/v1/responses/{id}"));
        Assert.Equal(HttpStatusCode.NotFound, await StatusAsync(stranger, HttpMethod.Delete, $"/v1/responses/{id}"));

        Assert.Equal(HttpStatusCode.OK, await StatusAsync(_gateway.Client, HttpMethod.Delete, $"/v1/responses/{id}"));
        Assert.Equal(HttpStatusCode.NotFound, await StatusAsync(_gateway.Client, HttpMethod.Get, $"/v1/responses/{id}"));
        using var after = await _gateway.Client.PostJsonAsync("/v1/responses", $$"""{"model":"sim-echo","input":"x","previous_response_id":"{{id}}"}""");
        Assert.Equal(HttpStatusCode.BadRequest, after.StatusCode);
        Assert.Contains("previous_response_not_found", await after.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Store_False_StoresNothing()
    {
        var made = await CreateAsync("""{"model":"sim-echo","input":"x","store":false}""");
        Assert.False(made.GetProperty("store").GetBoolean());
        Assert.Equal(HttpStatusCode.NotFound, await StatusAsync(_gateway.Client, HttpMethod.Get, $"/v1/responses/{made.GetProperty("id").GetString()}"));
    }

    // Starts as a stream on a simulated model, continues at a provider of the dialect, and returns. The gateway holds the state.
    [Fact]
    public async Task PreviousResponseId_AcrossDeployments_CarriesWholeConversation()
    {
        var stream = await _gateway.Client.PostForStreamAsync("/v1/responses", """{"model":"sim-tools","stream":true,"input":"weather?","tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]}""");
        var first = stream.Events[^2].Json.GetProperty("response");
        var call = first.GetProperty("output").EnumerateArray().Single(item => item.GetProperty("type").GetString() == "function_call");
        _upstream.Answer = context => Json(context, """{"id":"resp_up","object":"response","status":"completed","model":"x","output":[{"id":"rs_up","type":"reasoning","summary":[],"encrypted_content":"gAAA"},{"id":"msg_up","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"sun","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}""");
        var second = await CreateAsync($$"""{"model":"m","previous_response_id":"{{first.GetProperty("id").GetString()}}","input":[{"type":"function_call_output","call_id":"{{call.GetProperty("call_id").GetString()}}","output":"20 degrees"}]}""");
        Assert.DoesNotContain("gAAA", second.GetRawText(), StringComparison.Ordinal);
        Assert.True(_upstream.Received.TryDequeue(out var sent));
        Assert.Equal(JsonValueKind.Null, sent.GetProperty("previous_response_id").ValueKind);
        Assert.Equal(["message", "function_call", "function_call_output"], sent.GetProperty("input").EnumerateArray().Select(item => item.GetProperty("type").GetString()));
        Assert.All(sent.GetProperty("input").EnumerateArray(), item => Assert.False(item.TryGetProperty("id", out _)));

        // Sealed reasoning goes back to its provider under the provider's own id, though this caller never saw it.
        await CreateAsync($$"""{"model":"m","previous_response_id":"{{second.GetProperty("id").GetString()}}","input":"and tomorrow?"}""");
        Assert.True(_upstream.Received.TryDequeue(out sent));
        var reasoning = sent.GetProperty("input").EnumerateArray().Single(item => item.GetProperty("type").GetString() == "reasoning");
        Assert.Equal("rs_up", reasoning.GetProperty("id").GetString());
        Assert.Equal("gAAA", reasoning.GetProperty("encrypted_content").GetString());

        var third = await CreateAsync($$"""{"model":"sim-echo","previous_response_id":"{{second.GetProperty("id").GetString()}}","input":"and tomorrow?"}""");
        Assert.Equal("and tomorrow?", third.GetProperty("output")[0].GetProperty("content")[0].GetProperty("text").GetString());
        Assert.True(third.GetProperty("usage").GetProperty("input_tokens").GetInt64() > 20);
    }

    [Fact]
    public async Task ItemReference_StoredItem_IsResolved()
    {
        var first = await CreateAsync("""{"model":"sim-tools","input":"weather?","tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]}""");
        var call = first.GetProperty("output").EnumerateArray().Single(item => item.GetProperty("type").GetString() == "function_call");
        var second = await CreateAsync($$"""{"model":"sim-echo","input":[{"role":"user","content":"weather?"},{"type":"item_reference","id":"{{call.GetProperty("id").GetString()}}"},{"type":"function_call_output","call_id":"{{call.GetProperty("call_id").GetString()}}","output":"sun"}]}""");
        Assert.Equal("completed", second.GetProperty("status").GetString());
        using var unknown = await _gateway.Client.PostJsonAsync("/v1/responses", """{"model":"sim-echo","input":[{"type":"item_reference","id":"fc_01KB000000000000000000000000"}]}""");
        Assert.Equal(HttpStatusCode.BadRequest, unknown.StatusCode);
    }

    private static async Task<HttpStatusCode> StatusAsync(HttpClient client, HttpMethod method, string path)
    {
        using var request = new HttpRequestMessage(method, path);
        using var response = await client.SendAsync(request, Cancel);
        return response.StatusCode;
    }

    private Task<JsonElement> CreateAsync(string body) => _gateway.Client.PostForJsonAsync("/v1/responses", body);
}
