using System.Net;
using System.Text.Json.Nodes;
using Fairlead.Errors;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Common.JsonSchema;
using Fairlead.FunctionalTests.Hostile;

namespace Fairlead.FunctionalTests.Contracts;

/// <summary>Checks live responses of the simulated models and of the gateway's own endpoints against their schemas.</summary>
public sealed class GatewayAnswerTests(HostileGateway world) : IClassFixture<HostileGateway>
{
    private const string Tools = """
        "tools":[{"type":"function","function":{"name":"look_up","parameters":{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}}},{"type":"function","function":{"name":"add","parameters":{"type":"object","properties":{"a":{"type":"integer"}}}}}]
        """;

    private const string MessageTools = """
        "tools":[{"name":"look_up","input_schema":{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}},{"name":"add","input_schema":{"type":"object","properties":{"a":{"type":"integer"}}}}]
        """;

    private const string Shape = """{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"array","items":{"type":"number"}}},"required":["a","b"],"additionalProperties":false}""";

    private const string User = "\"messages\":[{\"role\":\"user\",\"content\":\"Hello 🌊\"}]";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, string> Calls => new()
    {
        { "chat", $$$"""{"model":"sim-fast",{{{User}}}}""" },
        { "chat", $$$"""{"model":"sim-fast",{{{User}}},"max_completion_tokens":3}""" },
        { "chat", $$$"""{"model":"sim-fast",{{{User}}},"n":3,"temperature":0.5,"top_p":0.5,"seed":4}""" },
        { "chat", $$$"""{"model":"sim-fast",{{{User}}},"logprobs":true,"top_logprobs":3}""" },
        { "chat", $$$"""{"model":"sim-tools",{{{User}}},{{{Tools}}}}""" },
        { "chat", $$$"""{"model":"sim-tools",{{{User}}},{{{Tools}}},"parallel_tool_calls":true}""" },
        { "chat", $$$"""{"model":"sim-tools",{{{User}}},"functions":[{"name":"look_up","parameters":{"type":"object"}}]}""" },
        { "chat", $$$"""{"model":"sim-json",{{{User}}},"response_format":{"type":"json_schema","json_schema":{"name":"out","strict":true,"schema":{{{Shape}}} }} }""" },
        { "chat", $$$"""{"model":"sim-json",{{{User}}},"response_format":{"type":"json_object"}}""" },
        { "chat", $$$"""{"model":"sim-reason",{{{User}}},"reasoning_effort":"low"}""" },
        { "chat", $$$"""{"model":"native",{{{User}}}}""" },
        { "chat", $$$"""{"model":"claude",{{{User}}}}""" },
        { "chat", $$$"""{"model":"gemini",{{{User}}}}""" },
        { "completions", """{"model":"sim-fast","prompt":"Once","max_tokens":9}""" },
        { "completions", """{"model":"sim-fast","prompt":"Once","n":2}""" },
        { "completions", """{"model":"claude","prompt":"Once"}""" },
        { "completions", """{"model":"native","prompt":"Once"}""" },
        { "messages", $$$"""{"model":"sim-fast","max_tokens":100,{{{User}}}}""" },
        { "messages", $$$"""{"model":"sim-fast","max_tokens":3,{{{User}}}}""" },
        { "messages", $$$"""{"model":"sim-tools","max_tokens":100,{{{User}}},{{{MessageTools}}}}""" },
        { "messages", $$$"""{"model":"sim-tools","max_tokens":100,{{{User}}},{{{MessageTools}}},"tool_choice":{"type":"any","disable_parallel_tool_use":false}}""" },
        { "messages", $$$"""{"model":"sim-json","max_tokens":100,{{{User}}},"output_config":{"format":{"type":"json_schema","schema":{{{Shape}}} }} }""" },
        { "messages", $$$"""{"model":"sim-reason","max_tokens":2000,{{{User}}},"thinking":{"type":"enabled","budget_tokens":1024}}""" },
        { "messages", $$$"""{"model":"claude","max_tokens":100,{{{User}}}}""" },
        { "messages", $$$"""{"model":"native","max_tokens":100,{{{User}}}}""" },
        { "messages", $$$"""{"model":"gemini","max_tokens":100,{{{User}}}}""" },
    };

    [Theory]
    [MemberData(nameof(Calls))]
    public async Task Response_NonStreaming_MatchesSchema(string client, string body)
    {
        using var response = await world.Gateway.Client.PostJsonAsync(PathOf(client), body);
        var text = await response.Content.ReadAsStringAsync(Token);
        Assert.True(response.IsSuccessStatusCode, text);
        Assert.Empty(LiveAnswers.Whole(client, 200, text));
    }

    [Theory]
    [MemberData(nameof(Calls))]
    public async Task Response_Streamed_MatchesSchemas(string client, string body)
    {
        await AssertStreamFitsAsync(client, body, includeUsage: false);
        if (client != "messages") await AssertStreamFitsAsync(client, body, includeUsage: true);
    }

    [Theory]
    [InlineData("chat", "cut_after=3")]
    [InlineData("completions", "cut_after=3")]
    [InlineData("messages", "cut_after=3")]
    public async Task Stream_FailsMidway_EndsWithErrorMatchingSchema(string client, string fault)
    {
        var body = client == "completions" ? """{"model":"sim-fast","prompt":"Once","stream":true}""" : $$"""{"model":"sim-fast","max_tokens":200,{{User}},"stream":true}""";
        using var response = await world.Gateway.Client.PostJsonAsync(PathOf(client), body, [("Fairlead-Simulate", fault)]);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var stream = await SeenStream.ReadAsync(response, Token);
        Assert.Contains("\"error\":{", stream.Events[^1].Data, StringComparison.Ordinal);
        Assert.Empty(LiveAnswers.Stream(client, stream, includeUsage: false));
    }

    [Theory]
    [InlineData("native-embed", "float", "\"one\"")]
    [InlineData("native-embed", "base64", "[\"one\",\"two\"]")]
    [InlineData("native-embed", "float", "[[1,2],[3]]")]
    [InlineData("sim-embed", "float", "[\"one\",\"two\"]")]
    [InlineData("sim-embed", "base64", "\"one\"")]
    public async Task Embeddings_Response_MatchesSchema(string model, string format, string input)
    {
        using var response = await world.Gateway.Client.PostJsonAsync("/v1/embeddings", $$"""{"model":"{{model}}","input":{{input}},"encoding_format":"{{format}}"}""");
        var text = await response.Content.ReadAsStringAsync(Token);
        Assert.True(response.IsSuccessStatusCode, text);
        Assert.Empty(SchemaSet.Own.Get($"embeddings.json#/$defs/{format}").Faults(JsonNode.Parse(text)));
        if (format == "float") Assert.Empty(PublishedSchemas.Faults("CreateEmbeddingResponse", JsonNode.Parse(text)));
    }

    [Theory]
    [InlineData("/v1/models", "list", "ListModelsResponse")]
    [InlineData("/v1/models/claude", "model", "Model")]
    [InlineData("/v1/models/sim-embed", "model", "Model")]
    public async Task Models_OpenAiAndAnthropicFormat_MatchSchemas(string path, string part, string published)
    {
        var openAi = await GetAsync(world.Gateway.Client, path);
        Assert.Empty(SchemaSet.Own.Get($"models.openai.json#/$defs/{part}").Faults(openAi));
        var anthropic = await GetAsync(world.Gateway.Client, path, ("anthropic-version", "2023-06-01"));
        Assert.Empty(SchemaSet.Own.Get($"models.anthropic.json#/$defs/{part}").Faults(anthropic));
        Assert.Empty(PublishedSchemas.Faults(published, openAi));
    }

    [Theory]
    [InlineData("simulated")]
    [InlineData("claude")]
    [InlineData("native")]
    public async Task CountTokens_Response_MatchesSchema(string model)
    {
        using var response = await world.Gateway.Client.PostJsonAsync("/v1/messages/count_tokens", $$"""{"model":"{{model}}",{{User}}}""");
        Assert.Empty(SchemaSet.Own.Get("count_tokens.json").Faults(JsonNode.Parse(await response.Content.ReadAsStringAsync(Token))));
    }

    [Fact]
    public async Task UsageAndAudit_EveryKindOfCall_MatchSchemas()
    {
        foreach (var (client, body) in Calls.Select(call => call.Data))
        {
            using var made = await world.Gateway.Client.PostJsonAsync(PathOf(client), body);
            Assert.True(made.IsSuccessStatusCode, body);
        }
        using var embedded = await world.Gateway.Client.PostJsonAsync("/v1/embeddings", """{"model":"native-embed","input":"x"}""");
        using var refused = await world.Gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"sim-fast"}""");
        using var failed = await world.Gateway.Client.PostJsonAsync("/v1/chat/completions", $$"""{"model":"sim-fast",{{User}}}""", [("Fairlead-Simulate", "status=500")]);
        Assert.Equal([200, 400, 502], new[] { embedded, refused, failed }.Select(response => (int)response.StatusCode));

        var usage = SchemaSet.Own.Get("usage.json");
        foreach (var query in (string[])["", "?group_by=model", "?group_by=key,day", "?group_by=outcome,hour"])
        {
            var own = await GetAsync(world.Gateway.Client, "/v2/usage" + query);
            Assert.Empty(usage.Faults(own));
            Assert.NotEmpty(own["data"]!.AsArray());
        }
        Assert.Empty(usage.Faults(await GetAsync(world.Gateway.Admin, "/admin/v1/usage?group_by=organization,project")));

        var audit = SchemaSet.Own.Get("audit.json");
        var records = 0;
        string? cursor = null;
        do
        {
            var page = await GetAsync(world.Gateway.Admin, $"/admin/v1/audit?limit=7{(cursor is null ? "" : "&cursor=" + Uri.EscapeDataString(cursor))}");
            Assert.Empty(audit.Faults(page));
            records += page["data"]!.AsArray().Count;
            cursor = page["next_cursor"]?.GetValue<string>();
        }
        while (cursor is not null);
        Assert.InRange(records, Calls.Count + 3, int.MaxValue);
    }

    [Theory]
    [InlineData("/v1/chat/completions", ErrorShape.OpenAi, """{"model":"sim-fast"}""", null, 400)]
    [InlineData("/v1/chat/completions", ErrorShape.OpenAi, """{"model":"none","messages":[{"role":"user","content":"x"}]}""", null, 404)]
    [InlineData("/v1/completions", ErrorShape.OpenAi, """{"model":"sim-fast","prompt":"x"}""", "status=429; retry_after=2", 429)]
    [InlineData("/v1/embeddings", ErrorShape.OpenAi, "{", null, 400)]
    [InlineData("/v1/messages", ErrorShape.Anthropic, """{"model":"sim-fast","max_tokens":1}""", null, 400)]
    [InlineData("/v1/messages", ErrorShape.Anthropic, """{"model":"sim-fast","max_tokens":9,"messages":[{"role":"user","content":"x"}]}""", "status=503", 529)]
    [InlineData("/v1/messages/count_tokens", ErrorShape.Anthropic, """{"model":"none","messages":[{"role":"user","content":"x"}]}""", null, 404)]
    [InlineData("/admin/v1/organizations", ErrorShape.Problem, "{}", null, 400)]
    public async Task Error_AnyDialect_MatchesItsSchema(string path, ErrorShape shape, string body, string? simulate, int status)
    {
        using var response = await (shape == ErrorShape.Problem ? world.Gateway.Admin : world.Gateway.Client).PostJsonAsync(path, body, [("Fairlead-Simulate", simulate ?? "tps=1000")]);
        var text = await response.Content.ReadAsStringAsync(Token);
        Assert.True((int)response.StatusCode == status, $"{(int)response.StatusCode} {text}");
        Assert.Empty(HostileDoor.ErrorsOf(shape).Faults(JsonNode.Parse(text)));
        using var stranger = world.Gateway.MakeClient(null);
        using var unknown = await stranger.PostJsonAsync(path, body);
        Assert.Equal(HttpStatusCode.Unauthorized, unknown.StatusCode);
        Assert.Empty(HostileDoor.ErrorsOf(shape).Faults(JsonNode.Parse(await unknown.Content.ReadAsStringAsync(Token))));
    }

    private static string PathOf(string client) => client switch { "chat" => "/v1/chat/completions", "messages" => "/v1/messages", _ => "/v1/completions" };

    private async Task AssertStreamFitsAsync(string client, string body, bool includeUsage)
    {
        var request = JsonNode.Parse(body)!;
        request["stream"] = true;
        if (includeUsage) request["stream_options"] = new JsonObject { ["include_usage"] = true };
        using var response = await world.Gateway.Client.PostJsonAsync(PathOf(client), request.ToJsonString());
        if (!response.IsSuccessStatusCode) Assert.Fail(await response.Content.ReadAsStringAsync(Token));
        // The fake provider sends no usage of null before the chunk that has it; what it does not send is not made up.
        var isForwarded = request["model"]!.GetValue<string>() == "native" && client != "messages";
        if (isForwarded && includeUsage) return;
        Assert.Empty(LiveAnswers.Stream(client, await SeenStream.ReadAsync(response, Token), includeUsage));
    }

    private static async Task<JsonNode> GetAsync(HttpClient client, string path, (string Name, string Value)? header = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        if (header is { } one) request.Headers.Add(one.Name, one.Value);
        using var response = await client.SendAsync(request, Token);
        var text = await response.Content.ReadAsStringAsync(Token);
        Assert.True(response.IsSuccessStatusCode, text);
        return JsonNode.Parse(text)!;
    }
}
