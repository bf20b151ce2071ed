using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Generations;

public sealed class SqliteV2GenerationTests() : V2GenerationTests(StorageProvider.Sqlite);

public sealed class PostgresV2GenerationTests() : V2GenerationTests(StorageProvider.Postgres);

/// <summary><c>POST /v2/generations</c> over HTTP, in each of its deliveries.</summary>
public abstract class V2GenerationTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private readonly StorageProvider _store;
    private TestGateway _gateway = null!;

    private protected V2GenerationTests(StorageProvider store) => _store = store;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync(_store, _upstream.Yaml() + """

              jobs: { backoff: 1ms }
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
    public async Task Sync_Request_ReturnsFullGeneration()
    {
        var done = await CreateAsync("""{"model":"sim-echo","input":"a bowline","metadata":{"ticket":"7"},"delivery":{"mode":"sync"}}""", 200);
        Assert.StartsWith("gen_", done.GetProperty("id").GetString(), StringComparison.Ordinal);
        Assert.Equal("generation", done.GetProperty("object").GetString());
        Assert.Equal("completed", done.GetProperty("status").GetString());
        Assert.Equal("complete", done.GetProperty("outcome").GetString());
        Assert.Equal("fairlead", done.GetProperty("dialect").GetString());
        Assert.Equal("a bowline", done.GetProperty("output_text").GetString());
        Assert.Equal("a bowline", done.GetProperty("output")[0].GetProperty("content")[0].GetProperty("text").GetString());
        Assert.Equal("7", done.GetProperty("metadata").GetProperty("ticket").GetString());
        Assert.True(done.GetProperty("usage").GetProperty("output_tokens").GetInt64() > 0);
        Assert.Equal(JsonValueKind.Null, done.GetProperty("error").ValueKind);
    }

    [Fact]
    public async Task Stream_EventsNumberedFromZero_EndsWithFullGeneration()
    {
        var stream = await _gateway.Client.PostForStreamAsync("/v2/generations", """{"model":"sim-echo","input":"a bowline and a hitch","delivery":{"mode":"stream"},"stream":{"batch_tokens":1}}""");
        Assert.False(stream.Broken);
        Assert.Equal(Enumerable.Range(0, stream.Events.Count), stream.Events.Select(seen => seen.Json.GetProperty("sequence_number").GetInt32()));
        Assert.Equal(stream.Events.Select(seen => seen.Json.GetProperty("sequence_number").GetInt32().ToString(System.Globalization.CultureInfo.InvariantCulture)), stream.Events.Select(seen => seen.Id));
        Assert.All(stream.Events, seen => Assert.Equal(seen.Name, seen.Json.GetProperty("type").GetString()));
        Assert.Equal(["generation.created", "generation.started"], stream.Events.Take(2).Select(seen => seen.Name));
        Assert.Equal("queued", stream.Events[0].Json.GetProperty("generation").GetProperty("status").GetString());
        Assert.Equal("in_progress", stream.Events[1].Json.GetProperty("generation").GetProperty("status").GetString());
        Assert.Equal("a bowline and a hitch", string.Concat(stream.Events.Where(seen => seen.Name == "output.text.delta").Select(seen => seen.Json.GetProperty("text").GetString())));
        Assert.Equal("generation.completed", stream.Events[^1].Name);
        var generation = stream.Events[^1].Json.GetProperty("generation");
        Assert.Equal("a bowline and a hitch", generation.GetProperty("output_text").GetString());
        Assert.Equal(stream.Events[0].Json.GetProperty("generation").GetProperty("id").GetString(), generation.GetProperty("id").GetString());
    }

    [Fact]
    public async Task Stream_ToolCall_ArrivesInDeltasAndCanBeSentBack()
    {
        const string Tools = """ "tools":[{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}] """;
        var stream = await _gateway.Client.PostForStreamAsync("/v2/generations", $$$"""{"model":"sim-tools","input":"What is the weather in Oslo?",{{{Tools}}},"delivery":{"mode":"stream"}}""");
        var pieces = stream.Events.Where(seen => seen.Name == "output.tool_call.delta").Select(seen => seen.Json).ToList();
        Assert.Equal("get_weather", pieces[0].GetProperty("name").GetString());
        Assert.All(pieces[1..], piece => Assert.False(piece.TryGetProperty("name", out _)));
        var generation = stream.Events[^1].Json.GetProperty("generation");
        Assert.Equal("tool_calls", generation.GetProperty("outcome").GetString());
        var call = generation.GetProperty("output").EnumerateArray().Single(item => item.GetProperty("type").GetString() == "tool_call");
        Assert.Equal(call.GetProperty("id").GetString(), pieces[0].GetProperty("id").GetString());
        Assert.Equal(call.GetProperty("arguments").GetString(), string.Concat(pieces.Select(piece => piece.GetProperty("arguments").GetString())));

        var input = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "What is the weather in Oslo?" });
        foreach (var item in generation.GetProperty("output").EnumerateArray()) input.Add(JsonNode.Parse(item.GetRawText()));
        input.Add(new JsonObject { ["type"] = "tool_result", ["tool_call_id"] = call.GetProperty("id").GetString(), ["output"] = "sunny" });
        var answer = await CreateAsync($$$"""{"model":"sim-tools","input":{{{input.ToJsonString()}}},{{{Tools}}},"delivery":{"mode":"sync"}}""", 200);
        Assert.Equal("completed", answer.GetProperty("status").GetString());
        Assert.NotEmpty(answer.GetProperty("output_text").GetString()!);
    }

    [Fact]
    public async Task Stream_Breaks_EndsWithGenerationFailed()
    {
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            // It ends there, without a finish. (An abort might overtake the words.)
            await SendAsync(context, Chunk("""{"role":"assistant","content":"half"}"""));
        };
        var stream = await _gateway.Client.PostForStreamAsync("/v2/generations", """{"model":"m","input":"hi","delivery":{"mode":"stream"}}""");
        Assert.False(stream.Broken);
        Assert.Equal("generation.failed", stream.Events[^1].Name);
        var generation = stream.Events[^1].Json.GetProperty("generation");
        Assert.Equal("provider_lost", generation.GetProperty("outcome").GetString());
        Assert.Equal("half", generation.GetProperty("output_text").GetString());
        Assert.NotEmpty(generation.GetProperty("error").GetProperty("code").GetString()!);
    }

    [Fact]
    public async Task Estimate_AnyRequest_CountsAndPricesWithoutProviderCall()
    {
        var estimate = await _gateway.Client.PostForJsonAsync("/v2/estimates", """{"model":"m","input":"a bowline and a hitch","sampling":{"max_output_tokens":1000},"delivery":{"mode":"stream"}}""", HttpStatusCode.OK);
        Assert.Equal("estimate", estimate.GetProperty("object").GetString());
        Assert.Equal("measured", estimate.GetProperty("basis").GetString());
        var input = estimate.GetProperty("input_tokens").GetInt64();
        Assert.InRange(input, 6, 40);
        Assert.Equal(1000, estimate.GetProperty("max_output_tokens").GetInt64());
        Assert.True(estimate.GetProperty("fits").GetBoolean());
        var cost = Assert.Single(estimate.GetProperty("deployments").EnumerateArray()).GetProperty("cost_usd");
        // A dollar and ten dollars a million.
        Assert.Equal(input * 0.000001m, cost.GetProperty("input").GetDecimal());
        Assert.Equal((input * 0.000001m) + 0.01m, cost.GetProperty("max").GetDecimal());
        Assert.Equal(input * 0.000001m, estimate.GetProperty("cost").GetProperty("min_usd").GetDecimal());
        Assert.Equal((input * 0.000001m) + 0.01m, estimate.GetProperty("cost").GetProperty("max_usd").GetDecimal());

        var large = await _gateway.Client.PostForJsonAsync("/v2/estimates", $$"""{"model":"m","input":"{{string.Concat(Enumerable.Repeat("knot ", 9000))}}"}""", HttpStatusCode.OK);
        Assert.False(large.GetProperty("fits").GetBoolean());
        Assert.Equal(0, large.GetProperty("max_output_tokens").GetInt64());
        Assert.Empty(_upstream.Received);
        using var refused = await _gateway.Client.PostAsync(new Uri("/v2/estimates", UriKind.Relative), new StringContent("""{"model":"m","input":"hi","nonsense":1}""", Encoding.UTF8, "application/json"), Cancel);
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
    }

    [Fact]
    public async Task Job_Created_Returns202AndResultHasSameGeneration()
    {
        var accepted = await CreateAsync("""{"model":"sim-echo","input":"a hitch","delivery":{"mode":"job"}}""", 202, response =>
        {
            Assert.False(response.Headers.Contains("Preference-Applied"));
            Assert.StartsWith("/v2/generations/gen_", response.Headers.Location!.OriginalString, StringComparison.Ordinal);
        });
        Assert.Equal("queued", accepted.GetProperty("status").GetString());
        var id = accepted.GetProperty("id").GetString();
        var done = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60", HttpStatusCode.OK);
        Assert.Equal("completed", done.GetProperty("status").GetString());
        Assert.Equal("a hitch", done.GetProperty("output_text").GetString());
        var result = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}/result", HttpStatusCode.OK);
        Assert.Equal(id, result.GetProperty("id").GetString());
        Assert.Equal("a hitch", result.GetProperty("output_text").GetString());
        Assert.Equal(done.GetProperty("usage").GetRawText(), result.GetProperty("usage").GetRawText());
    }

    [Fact]
    public async Task AutoDelivery_WaitSeconds_ReturnsResultOrContinuesAsJob()
    {
        var whole = await CreateAsync("""{"model":"sim-echo","input":"a hitch","delivery":{"mode":"auto","wait_seconds":60}}""", 200);
        Assert.Equal("a hitch", whole.GetProperty("output_text").GetString());

        var gate = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"late"}"""));
            await gate.Task.WaitAsync(Cancel);
            await SendAsync(context, Chunk("{}", "stop"), "[DONE]");
        };
        var accepted = await CreateAsync("""{"model":"m","input":"hi","delivery":{"mode":"auto","wait_seconds":1}}""", 202);
        gate.SetResult();
        var done = await _gateway.Client.GetJsonAsync($"/v2/generations/{accepted.GetProperty("id").GetString()}?wait=60", HttpStatusCode.OK);
        Assert.Equal("late", done.GetProperty("output_text").GetString());
        Assert.Single(_upstream.Received);
    }

    [Fact]
    public async Task Request_WithAllFields_ReachesProviderComplete()
    {
        _upstream.Answer = context => Json(context, """{"id":"c","object":"chat.completion","created":1,"model":"x","choices":[{"index":0,"message":{"role":"assistant","content":"{}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}""");
        await CreateAsync("""
            {"model":"m","instructions":"Be brief","delivery":{"mode":"sync"},"budget_usd":0.5,"sampling":{"max_output_tokens":50,"temperature":0.5,"top_p":0.9,"seed":7,"stop":["END"]},"parallel_tool_calls":true,
             "tools":[{"name":"look_up","description":"Looks it up","parameters":{"type":"object","properties":{"q":{"type":"string"}}}}],"tool_choice":{"name":"look_up"},
             "class":"bulk","deadline_ms":60000,
             "input":[{"role":"user","content":[{"type":"text","text":"Hello"}]},
               {"type":"tool_call","id":"call_1","name":"look_up","arguments":"{}"},{"type":"tool_result","tool_call_id":"call_1","output":"found"},
               {"role":"assistant","content":"Found."},{"role":"user","content":"And?"}]}
            """, 200);
        var sent = Assert.Single(_upstream.Received);
        Assert.Equal(0.5, sent.GetProperty("temperature").GetDouble());
        Assert.Equal(7, sent.GetProperty("seed").GetInt64());
        Assert.Equal("look_up", sent.GetProperty("tool_choice").GetProperty("function").GetProperty("name").GetString());
        Assert.Equal(["system|developer", "user", "assistant", "tool", "assistant", "user"], sent.GetProperty("messages").EnumerateArray().Select(message => message.GetProperty("role").GetString() is "system" or "developer" ? "system|developer" : message.GetProperty("role").GetString()));
    }

    [Theory]
    [InlineData("""{"model":"sim-echo","input":"a hitch"}""", "respond-async", HttpStatusCode.Accepted)]
    [InlineData("""{"model":"sim-echo","input":"a hitch"}""", "respond-async, wait=60", HttpStatusCode.OK)]
    [InlineData("""{"model":"sim-echo","input":"a hitch","delivery":{"mode":"sync"}}""", "respond-async", HttpStatusCode.OK)]
    public async Task Prefer_V2Request_AppliesOnlyWithoutDelivery(string body, string prefer, HttpStatusCode status)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v2/generations") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Add("Prefer", prefer);
        using var response = await _gateway.Client.SendAsync(request, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.Equal(status, response.StatusCode);
        Assert.Equal("application/json", response.Content.Headers.ContentType!.MediaType);
        Assert.Equal(!body.Contains("delivery", StringComparison.Ordinal), response.Headers.Contains("Preference-Applied"));
        var generation = JsonDocument.Parse(text).RootElement;
        if (status != HttpStatusCode.Accepted)
        {
            Assert.Equal("a hitch", generation.GetProperty("output_text").GetString());
            return;
        }
        Assert.Equal("job", generation.GetProperty("delivery").GetProperty("mode").GetString());
        Assert.Equal("a hitch", (await _gateway.Client.GetJsonAsync($"/v2/generations/{generation.GetProperty("id").GetString()}?wait=60", HttpStatusCode.OK)).GetProperty("output_text").GetString());
        Assert.Equal("a hitch", (await _gateway.Client.GetJsonAsync($"/v2/generations/{generation.GetProperty("id").GetString()}/result", HttpStatusCode.OK)).GetProperty("output_text").GetString());
    }

    [Fact]
    public async Task Budget_RequestWithoutMaxOutputTokens_CapsOutput()
    {
        _upstream.Answer = async context =>
        {
            if (!((JsonElement)context.Items[RequestItem]!).TryGetProperty("stream", out var streams) || !streams.GetBoolean())
            {
                await Json(context, Completion("ok"));
                return;
            }
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"content":"ok"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        var done = await CreateAsync("""{"model":"m","input":"hi","budget_usd":0.001,"delivery":{"mode":"sync"}}""", 200);
        var sent = Assert.Single(_upstream.Received);
        var cap = sent.GetProperty(sent.TryGetProperty("max_completion_tokens", out _) ? "max_completion_tokens" : "max_tokens").GetInt64();
        // A dollar a million for the input, whose bytes bound it, and ten for the output: hardly 100 of them.
        Assert.InRange(cap, 80, 100);
        Assert.Contains(done.GetProperty("warnings").EnumerateArray(), warning => warning.GetProperty("code").GetString() == "output_capped");

        // Of a job the run is capped as the acceptance was.
        var accepted = await CreateAsync("""{"model":"m","input":"hi","budget_usd":0.001,"delivery":{"mode":"job"}}""", 202);
        var job = await _gateway.Client.GetJsonAsync($"/v2/generations/{accepted.GetProperty("id").GetString()}?wait=60", HttpStatusCode.OK);
        Assert.Contains(job.GetProperty("warnings").EnumerateArray(), warning => warning.GetProperty("code").GetString() == "output_capped");
        Assert.Equal(cap, _upstream.Received.Last().GetProperty(sent.TryGetProperty("max_completion_tokens", out _) ? "max_completion_tokens" : "max_tokens").GetInt64());
    }

    [Fact]
    public async Task Generation_AnyStatus_HasSameFields()
    {
        var gate = new TaskCompletionSource();
        var said = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"a bowline and a hitch"}"""));
            said.TrySetResult();
            await gate.Task.WaitAsync(Cancel);
            await SendAsync(context, Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        var accepted = await CreateAsync("""{"model":"m","input":"hi","metadata":{"ticket":"7"},"delivery":{"mode":"job"}}""", 202);
        var id = accepted.GetProperty("id").GetString();
        await said.Task.WaitAsync(Cancel);
        JsonElement running;
        do running = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}", HttpStatusCode.OK);
        while (running.GetProperty("output_text").GetString() is null or "");
        Assert.Equal("in_progress", running.GetProperty("status").GetString());
        Assert.Equal("a bowline and a hitch", running.GetProperty("output_text").GetString());
        var usage = running.GetProperty("usage");
        Assert.Equal("estimated", usage.GetProperty("basis").GetString());
        Assert.True(usage.GetProperty("input_tokens").GetInt64() > 0);
        Assert.InRange(usage.GetProperty("output_tokens").GetInt64(), 4, 12);
        gate.SetResult();
        var done = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60", HttpStatusCode.OK);
        var names = Names(done);
        foreach (var other in (JsonElement[])[accepted, running, Assert.Single((await _gateway.Client.GetJsonAsync("/v2/generations", HttpStatusCode.OK)).GetProperty("data").EnumerateArray().ToArray())])
        {
            Assert.Equal(names, Names(other));
            Assert.Equal("7", other.GetProperty("metadata").GetProperty("ticket").GetString());
            Assert.Equal("job", other.GetProperty("delivery").GetProperty("mode").GetString());
        }
        Assert.Equal(names, Names(await CreateAsync("""{"model":"sim-echo","input":"x","delivery":{"mode":"sync"}}""", 200)));
        Assert.Equal(names, Names((await _gateway.Client.PostForStreamAsync("/v2/generations", """{"model":"sim-echo","input":"x"}""")).Events[0].Json.GetProperty("generation")));

        static IEnumerable<string> Names(JsonElement generation) => generation.EnumerateObject().Select(member => member.Name).Order(StringComparer.Ordinal);
    }

    [Theory]
    [InlineData("""{"model":"claude","input":[{"role":"user","content":"x"},{"role":"user","content":[{"type":"audio","data":"aGk=","format":"wav"}]}],"delivery":{"mode":"MODE"}}""", "/input")]
    [InlineData("""{"model":"small","input":"one two three four five six seven eight nine ten","sampling":{"max_output_tokens":8000},"delivery":{"mode":"MODE"}}""", "/sampling/max_output_tokens")]
    public async Task Error_FoundAfterDialectParsing_NamesLocationInRequest(string body, string pointer)
    {
        await using var gateway = await TestGateway.StartAsync("""
            fairlead:
              retry: { maxRetries: 0 }
              providers:
                anthropic: { kind: anthropic, baseUrl: "http://127.0.0.1:9", apiKey: k }
                sim: { kind: simulated }
              models:
                claude: { contextWindow: 100000, maxOutputTokens: 1000, modalities: { input: [text, audio] }, prices: { input: 0, output: 0 }, deployments: [{ provider: anthropic, model: claude-haiku-5-5 }] }
                small: { contextWindow: 100000, maxOutputTokens: 1000, prices: { input: 0, output: 0 }, deployments: [{ provider: sim, model: sim-echo }] }
            """);
        foreach (var mode in (string[])["sync", "stream", "job"])
        {
            using var content = new StringContent(body.Replace("MODE", mode, StringComparison.Ordinal), Encoding.UTF8, "application/json");
            using var response = await gateway.Client.PostAsync(new Uri("/v2/generations", UriKind.Relative), content, Cancel);
            var text = await response.Content.ReadAsStringAsync(Cancel);
            JsonElement problem;
            if (response.Content.Headers.ContentType!.MediaType == "text/event-stream")
            {
                problem = JsonDocument.Parse(text.Split('\n').Last(line => line.StartsWith("data: ", StringComparison.Ordinal))[6..]).RootElement.GetProperty("generation").GetProperty("error");
            }
            else
            {
                problem = JsonDocument.Parse(text).RootElement;
                if (response.IsSuccessStatusCode)
                {
                    var done = await gateway.Client.GetStringAsync(new Uri($"/v2/generations/{problem.GetProperty("id").GetString()}?wait=60", UriKind.Relative), Cancel);
                    problem = JsonDocument.Parse(done).RootElement.GetProperty("error");
                }
            }
            Assert.True(problem.GetProperty("errors").EnumerateArray().Select(error => error.GetProperty("pointer").GetString()).SingleOrDefault() == pointer, $"{mode}: {problem}");
        }
    }

    [Theory]
    [InlineData("""{"model":"sim-fast","input":"x","prompt":{"id":"prompt_1"}}""")]
    [InlineData("""{"model":"sim-fast","prompt":{"id":"prompt_1","version":2,"variables":{"name":"Ada"}}}""")]
    [InlineData("""{"model":"sim-fast","input":"x","prompt":{"id":"prompt_1","label":"live"},"delivery":{"mode":"job"}}""")]
    public async Task Prompt_UnknownId_Returns404(string body)
    {
        var problem = await CreateAsync(body, 404);
        Assert.Equal("not_found", problem.GetProperty("code").GetString());
        Assert.Equal("/prompt/id", Assert.Single(problem.GetProperty("errors").EnumerateArray().Select(error => error.GetProperty("pointer").GetString())));
    }

    [Theory]
    [InlineData("""{"input":"x"}""", "missing_parameter", "/model")]
    [InlineData("""{"model":"sim-fast"}""", "missing_parameter", "/input")]
    [InlineData("""{"model":"sim-fast","input":[]}""", "invalid_parameter", "/input")]
    [InlineData("""{"model":"sim-fast","input":5}""", "invalid_parameter", "/input")]
    [InlineData("""{"model":"sim-fast","input":"x","nonsense":1}""", "unsupported_parameter", "/nonsense")]
    [InlineData("""{"model":"sim-fast","input":"x","a/b~c":1}""", "unsupported_parameter", "/a~1b~0c")]
    [InlineData("""{"model":"sim-fast","input":"x","prompt":5}""", "invalid_parameter", "/prompt")]
    [InlineData("""{"model":"sim-fast","input":"x","prompt":{}}""", "missing_parameter", "/prompt/id")]
    [InlineData("""{"model":"sim-fast","input":"x","prompt":{"id":""}}""", "invalid_parameter", "/prompt/id")]
    [InlineData("""{"model":"sim-fast","input":"x","prompt":{"id":"p","version":0}}""", "invalid_parameter", "/prompt/version")]
    [InlineData("""{"model":"sim-fast","input":"x","prompt":{"id":"p","version":1,"label":"live"}}""", "invalid_parameter", "/prompt/label")]
    [InlineData("""{"model":"sim-fast","input":"x","prompt":{"id":"p","variables":[]}}""", "invalid_parameter", "/prompt/variables")]
    [InlineData("""{"model":"sim-fast","input":"x","prompt":{"id":"p","text":"x"}}""", "unsupported_parameter", "/prompt/text")]
    [InlineData("""{"model":"sim-fast","input":"x","budget_usd":0}""", "invalid_parameter", "/budget_usd")]
    [InlineData("""{"model":"m","input":"x","budget_usd":0.0000001}""", "invalid_parameter", "/budget_usd")]
    [InlineData("""{"model":"m","input":"x","budget_usd":0.001,"sampling":{"max_output_tokens":200}}""", "invalid_parameter", "/budget_usd")]
    [InlineData("""{"model":"sim-fast","input":"x","max_output_tokens":5}""", "unsupported_parameter", "/max_output_tokens")]
    [InlineData("""{"model":"sim-fast","input":"x","output":{"type":"json"}}""", "unsupported_parameter", "/output/type")]
    [InlineData("""{"model":"sim-fast","input":"x","stream":{"on_disconnect":"continue"}}""", "unsupported_parameter", "/stream/on_disconnect")]
    [InlineData("""{"model":"sim-fast","input":"x","delivery":{"mode":"job","on_disconnect":"cancel"}}""", "invalid_parameter", "/delivery/on_disconnect")]
    [InlineData("""{"model":"sim-fast","input":"x","sampling":{"temperature":3}}""", "invalid_parameter", "/sampling/temperature")]
    [InlineData("""{"model":"sim-fast","input":"x","delivery":{"mode":"later"}}""", "invalid_parameter", "/delivery/mode")]
    [InlineData("""{"model":"sim-fast","input":"x","delivery":{"mode":"sync","wait_seconds":5}}""", "invalid_parameter", "/delivery/wait_seconds")]
    [InlineData("""{"model":"sim-fast","input":"x","delivery":{"webhook":{"url":"https://example.com/"}}}""", "invalid_parameter", "/delivery/webhook")]
    [InlineData("""{"model":"sim-fast","input":"x","delivery":{"mode":"job","webhook":{"url":"http://127.0.0.1/"}}}""", "invalid_parameter", "/delivery/webhook/url")]
    [InlineData("""{"model":"sim-fast","input":"x","delivery":{"mode":"sync"},"stream":{"batch_tokens":4}}""", "invalid_parameter", "/stream")]
    [InlineData("""{"model":"sim-fast","input":"x","tool_choice":"required"}""", "invalid_parameter", "/tool_choice")]
    [InlineData("""{"model":"sim-fast","input":"x","output":{"format":"json_schema"}}""", "missing_parameter", "/output/schema")]
    [InlineData("""{"model":"sim-fast","input":[{"role":"user","content":[{"type":"text"}]}]}""", "missing_parameter", "/input/0/content/0/text")]
    [InlineData("""{"model":"sim-fast","input":[{"role":"user","content":[{"type":"image","url":"ftp://x"}]}]}""", "invalid_parameter", "/input/0/content/0/url")]
    [InlineData("""{"model":"sim-fast","input":[{"role":"user","content":"x"},{"type":"tool_call","id":"a","name":"f","arguments":"{}"}]}""", "invalid_parameter", "/input")]
    [InlineData("""{"model":"sim-fast","input":[{"type":"tool_result","tool_call_id":"a","output":"x"}]}""", "invalid_parameter", "/input/0/tool_call_id")]
    [InlineData("""{"model":"sim-fast","input":"x","metadata":{"a":1}}""", "invalid_parameter", "/metadata/a")]
    [InlineData("""{"model":"sim-fast","input":"x","model":"sim-echo"}""", "invalid_parameter", null)]
    public async Task Request_Invalid_ReturnsErrorWithPointer(string body, string code, string? pointer)
    {
        var problem = await CreateAsync(body, 400, response => Assert.Equal("application/problem+json", response.Content.Headers.ContentType!.MediaType));
        Assert.Equal(code, problem.GetProperty("code").GetString());
        Assert.Equal(pointer, problem.GetProperty("errors").EnumerateArray().Select(error => error.GetProperty("pointer").GetString()).SingleOrDefault());
        Assert.NotEmpty(problem.GetProperty("remedy").GetString()!);
    }

    private async Task<JsonElement> CreateAsync(string body, int status, Action<HttpResponseMessage>? see = null)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var response = await _gateway.Client.PostAsync(new Uri("/v2/generations", UriKind.Relative), content, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True((int)response.StatusCode == status, $"{(int)response.StatusCode} {text}");
        see?.Invoke(response);
        return JsonDocument.Parse(text).RootElement.Clone();
    }
}
