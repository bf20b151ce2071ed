using System.Text;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;
using Fairlead.Server.Documentation;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Documentation;

/// <summary>Every event of live streams held against the OpenAPI document; and every event of the gateway's own dialect is provoked.</summary>
public sealed class EventSchemaTests : IAsyncLifetime
{
    private const string Schema = """{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name","age"],"additionalProperties":false}""";

    private static readonly JsonNode Document = OpenApiDocument.Build();

    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync(_upstream.Yaml() + """

              retry: { maxRetries: 0 }
              jobs: { backoff: 1ms }
            """);
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Fact]
    public async Task GenerationEvents_AllTypes_MatchOpenApiDocument()
    {
        var seen = new HashSet<string>();
        async Task Stream(string body, string? simulate = null) => seen.UnionWith(Check("GenerationEvent", await StreamAsync("/v2/generations", body, simulate)));
        await Stream("""{"model":"sim-fast","input":"hi","delivery":{"mode":"stream"}}""");
        await Stream("""{"model":"sim-fast","input":"hi","sampling":{"max_output_tokens":2},"delivery":{"mode":"stream"}}""");
        await Stream("""{"model":"sim-reason","input":"hi","delivery":{"mode":"stream"}}""");
        await Stream("""{"model":"sim-tools","input":"hi","tools":[{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}],"delivery":{"mode":"stream"}}""");
        await Stream("""{"model":"sim-fast","input":"hi","delivery":{"mode":"stream"}}""", "status=400");
        await Stream($$$"""{"model":"sim-json","input":"hi","output":{"format":"json_schema","schema":{{{Schema}}},"structured":"partial","repair":true},"delivery":{"mode":"stream"}}""", "invalid_output=1");
        await Stream($$$"""{"model":"sim-json","input":"hi","output":{"format":"json_schema","schema":{{{Schema}}},"structured":"partial"},"delivery":{"mode":"stream"}}""", "invalid_output=1");
        _upstream.Answer = context => SendAsync(context, FakeUpstream.Chunk("""{"refusal":"no"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        await Stream("""{"model":"m","input":"hi","delivery":{"mode":"stream"}}""");
        // A cap that the caller did not set is a warning.
        await Stream("""{"model":"m","input":"hi","budget_usd":0.001}""");

        // The provider breaks the stream in the middle, and the gateway starts the run again.
        var runs = 0;
        var heard = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _upstream.Answer = async context =>
        {
            if (Interlocked.Increment(ref runs) == 1)
            {
                await SendAsync(context, FakeUpstream.Chunk("""{"content":"so"}"""));
                // The gateway announces a restart only if a client has read events, so wait for that.
                await heard.Task.WaitAsync(context.RequestAborted);
                FakeUpstream.Cut(context);
                return;
            }
            await SendAsync(context, FakeUpstream.Chunk("""{"content":"whole"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        seen.UnionWith(Check("GenerationEvent", await StreamAsync("/v2/generations", """{"model":"m","input":"hi","delivery":{"mode":"stream","on_disconnect":"continue"}}""", null, heard)));

        _upstream.Answer = async context =>
        {
            await SendAsync(context, FakeUpstream.Chunk("""{"content":"so"}"""));
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        };
        var job = await _gateway.Client.PostForJsonAsync("/v2/generations", """{"model":"m","input":"hi","delivery":{"mode":"job"}}""");
        var id = job.GetProperty("id").GetString();
        await _gateway.Client.PostForJsonAsync($"/v2/generations/{id}/cancel", "{}");
        seen.UnionWith(Check("GenerationEvent", await _gateway.Client.GetStringAsync(new Uri($"/v2/generations/{id}/events", UriKind.Relative), Cancel)));

        var documented = Document["components"]!["schemas"]!["GenerationEvent"]!["discriminator"]!["mapping"]!.AsObject().Select(one => one.Key);
        Assert.Equal(documented.Order(StringComparer.Ordinal), seen.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void OpenApiDocument_AllStreams_DocumentTheirEvents()
    {
        var silent = Document["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject().SelectMany(one => one.Value!["responses"]!.AsObject().Where(answer => answer.Value!["content"]?["text/event-stream"] is { } stream && stream["x-event-schema"]?["$ref"] is null)
            .Select(answer => $"{one.Key} {path.Key}")));
        Assert.Empty(silent);
    }

    [Fact]
    public async Task ResponseEvents_AllTypes_MatchOpenApiDocument()
    {
        const string Tools = """ "tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}] """;
        // Responses are translated here, so the provider speaks chat.
        await using var gateway = await TestGateway.StartAsync(_upstream.Yaml().Replace("kind: openai,", "kind: mistral,", StringComparison.Ordinal) + """

              retry: { maxRetries: 0 }
            """);
        var seen = new HashSet<string>();
        async Task Stream(string body, string? simulate = null) => seen.UnionWith(Check("ResponseStreamEvent", await StreamAsync("/v1/responses", body, simulate, client: gateway.Client)));
        await Stream("""{"model":"sim-fast","input":"hi","stream":true}""");
        await Stream("""{"model":"sim-fast","input":"hi","stream":true,"background":true}""");
        await Stream("""{"model":"sim-echo","input":"one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen","max_output_tokens":16,"stream":true}""");
        await Stream("""{"model":"sim-reason","input":"hi","stream":true}""");
        await Stream($$"""{"model":"sim-tools","input":"hi","stream":true,{{Tools}}}""");
        await Stream($$$"""{"model":"sim-json","input":"hi","stream":true,"text":{"format":{"type":"json_schema","name":"person","schema":{{{Schema}}}}},"fairlead":{"structured":"partial"}}""");
        await Stream("""{"model":"sim-fast","input":"hi","stream":true}""", "cut_after=3");
        _upstream.Answer = context => SendAsync(context, FakeUpstream.Chunk("""{"refusal":"no"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        await Stream("""{"model":"m","input":"hi","stream":true}""");
        _upstream.Answer = context => SendAsync(context, FakeUpstream.Chunk("""{"content":"see"}"""), FakeUpstream.Chunk("""{"annotations":[{"type":"url_citation","url_citation":{"url":"https://a.example","title":"A","start_index":0,"end_index":3}}]}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        await Stream("""{"model":"m","input":"hi","stream":true}""");
        var documented = Document["components"]!["schemas"]!["ResponseStreamEvent"]!["discriminator"]!["mapping"]!.AsObject().Select(one => one.Key).Where(type => !type.Contains("custom_tool", StringComparison.Ordinal));
        Assert.Equal(documented.Order(StringComparer.Ordinal), seen.Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("""{"model":"sim-echo","stream":true,"prompt":"hi"}""")]
    [InlineData("""{"model":"sim-echo","stream":true,"prompt":"hi","max_tokens":1,"stream_options":{"include_usage":true}}""")]
    public async Task CompletionChunks_LiveStream_MatchOpenApiDocument(string body) => Check("CompletionChunk", await StreamAsync("/v1/completions", body));

    [Theory]
    [InlineData("""{"model":"sim-fast","stream":true,"messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("""{"model":"sim-fast","stream":true,"stream_options":{"include_usage":true},"logprobs":true,"n":2,"messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("""{"model":"sim-reason","stream":true,"messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("""{"model":"sim-json","stream":true,"messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":{"a":{"type":"string"}}}}},"fairlead":{"structured":"partial"}}""")]
    [InlineData("""{"model":"sim-tools","stream":true,"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}}]}""")]
    public async Task ChatChunks_LiveStream_MatchOpenApiDocument(string body) => Check("ChatCompletionChunk", await StreamAsync("/v1/chat/completions", body));

    [Theory]
    [InlineData("""{"model":"sim-fast","stream":true,"max_tokens":50,"messages":[{"role":"user","content":"hi"}]}""", null)]
    [InlineData("""{"model":"sim-reason","stream":true,"max_tokens":2000,"thinking":{"type":"enabled","budget_tokens":1024},"messages":[{"role":"user","content":"hi"}]}""", null)]
    [InlineData("""{"model":"sim-tools","stream":true,"max_tokens":50,"messages":[{"role":"user","content":"hi"}],"tools":[{"name":"f","input_schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}]}""", null)]
    [InlineData("""{"model":"sim-fast","stream":true,"max_tokens":50,"messages":[{"role":"user","content":"hi"}]}""", "cut_after=3")]
    public async Task MessageEvents_LiveStreams_MatchOpenApiDocument(string body, string? simulate) => Check("MessageStreamEvent", await StreamAsync("/v1/messages", body, simulate));

    /// <summary>Types of the events, each of which fits.</summary>
    private static HashSet<string> Check(string name, string stream)
    {
        var types = new HashSet<string>();
        var mapping = Document["components"]!["schemas"]![name]!["discriminator"]?["mapping"];
        foreach (var line in stream.Split('\n').Where(line => line.StartsWith("data: {", StringComparison.Ordinal)))
        {
            var data = JsonNode.Parse(line[6..])!;
            var schema = Document["components"]!["schemas"]![name]!;
            if (mapping is not null)
            {
                var type = data["type"]!.GetValue<string>();
                types.Add(type);
                Assert.True(mapping[type] is not null, $"{type} is not in the document.");
                schema = new JsonObject { ["$ref"] = mapping[type]!.GetValue<string>() };
            }
            var faults = SchemaCheck.Faults(Document, schema, data);
            Assert.True(faults.Count == 0, string.Join('\n', faults) + "\n" + line);
        }
        Assert.True(mapping is null || types.Count > 0, stream);
        return types;
    }

    private async Task<string> StreamAsync(string path, string body, string? simulate = null, TaskCompletionSource? heard = null, HttpClient? client = null)
    {
        var headers = new List<(string Name, string Value)>();
        if (simulate is not null) headers.Add(("Fairlead-Simulate", simulate));
        if (path == "/v1/messages") headers.Add(("anthropic-version", "2023-06-01"));
        using var response = await (client ?? _gateway.Client).PostJsonAsync(path, body, headers);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(Cancel));
        var text = new StringBuilder();
        while (await reader.ReadLineAsync(Cancel) is { } line)
        {
            text.Append(line).Append('\n');
            if (line == "event: output.text.delta") heard?.TrySetResult();
        }
        Assert.True(response.IsSuccessStatusCode, text.ToString());
        return text.ToString();
    }

    private static async Task SendAsync(HttpContext context, params string[] chunks)
    {
        await FakeUpstream.BeginAsync(context);
        await FakeUpstream.SendAsync(context, chunks);
    }
}
