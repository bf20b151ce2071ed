using Fairlead.Conversation;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Telemetry;

/// <summary>What a collector gets of the real program: OpenTelemetry's GenAI conventions by the letter, and nothing of anybody's words.</summary>
public sealed class OtlpExportTests : IAsyncLifetime
{
    private const string Prompt = "the question that nobody may trace";
    private const string Answer = "the answer that nobody may trace";
    private const string TraceId = "4bf92f3577b34da6a3ce929d0e0e4736";

    private const long ServerKind = 2;
    private const long ClientKind = 3;
    private const long ErrorStatus = 2;

    // Of the conventions.
    private static readonly double[] Durations = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
    private static readonly double[] Tokens = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864];

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-otlp").FullName;
    private FakeUpstream _upstream = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private int UpstreamPort => new Uri(_upstream.Url).Port;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = context => FakeUpstream.Json(context, FakeUpstream.Completion(Answer));
    }

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData("http/protobuf")]
    [InlineData("grpc")]
    public async Task Call_EitherOtlpProtocol_ExportsSemanticConventionSpans(string protocol)
    {
        await using var collector = await OtlpReceiver.StartAsync(grpc: protocol == "grpc");
        await using var server = await ServeAsync(collector, protocol, ("OTEL_SERVICE_NAME", "gateway-of-the-test"));
        await CallAsync(server, $$"""
            {"model":"m","max_tokens":50,"temperature":0.5,"top_p":0.9,"seed":7,"frequency_penalty":0.25,"presence_penalty":-0.5,"stop":["END"],"service_tier":"default",
             "response_format":{"type":"json_object"},"messages":[{"role":"user","content":"{{Prompt}}, in JSON"}]}
            """);

        var spans = await collector.SpansAsync(all => all.Any(span => span.Kind == ClientKind && span.Scope == "Fairlead") && all.Any(span => span.Kind == ServerKind), Token);
        var client = Assert.Single(spans, span => span.Scope == "Fairlead");
        Assert.Equal(("chat upstream-m", ClientKind, TraceId, 0L), (client.Name, client.Kind, client.TraceId, client.Status));
        Assert.Equal(
            new Dictionary<string, object?>
            {
                ["gen_ai.operation.name"] = "chat", ["gen_ai.provider.name"] = "openai-compatible", ["gen_ai.request.model"] = "upstream-m", ["gen_ai.output.type"] = "json",
                ["gen_ai.request.max_tokens"] = 50L, ["gen_ai.request.temperature"] = 0.5, ["gen_ai.request.top_p"] = 0.9, ["gen_ai.request.seed"] = 7L,
                ["gen_ai.request.frequency_penalty"] = 0.25, ["gen_ai.request.presence_penalty"] = -0.5, ["gen_ai.request.stop_sequences"] = "END",
                ["openai.request.service_tier"] = "default", ["server.address"] = "127.0.0.1", ["server.port"] = (long)UpstreamPort,
                ["gen_ai.response.model"] = "upstream-m-0001", ["gen_ai.response.finish_reasons"] = "stop",
                ["gen_ai.usage.input_tokens"] = 11L, ["gen_ai.usage.output_tokens"] = 3L, ["gen_ai.usage.cache_read.input_tokens"] = 4L,
                ["http.response.status_code"] = 200L, ["fairlead.provider"] = "up", ["fairlead.deployment"] = "up/upstream-m", ["fairlead.attempt.number"] = 1L,
                ["fairlead.attempt.reason"] = "only",
            }.OrderBy(pair => pair.Key, StringComparer.Ordinal),
            client.Attributes.OrderBy(pair => pair.Key, StringComparer.Ordinal));

        // The client's trace continues through the gateway's span to the provider.
        var request = Assert.Single(spans, span => span.Kind == ServerKind);
        Assert.Equal((TraceId, "00f067aa0ba902b7"), (request.TraceId, request.ParentId));
        Assert.Equal(request.SpanId, client.ParentId);
        Assert.Equal($"00-{TraceId}-{client.SpanId}-01", Assert.Single(_upstream.Headers)["traceparent"]);
        Assert.Equal(("chat", "complete", 11L), (request.Attributes["gen_ai.operation.name"], request.Attributes["fairlead.outcome"], request.Attributes["gen_ai.usage.input_tokens"]));
        // The vendor by the names of the convention, provider and deployment by those of the configuration.
        Assert.Equal(("openai-compatible", "up", "up/upstream-m"), (request.Attributes["gen_ai.provider.name"], request.Attributes["fairlead.provider"], request.Attributes["fairlead.deployment"]));
        Assert.StartsWith("gen_", (string)request.Attributes["gen_ai.response.id"]!, StringComparison.Ordinal);
        foreach (var id in (string[])["organization", "project", "key"]) Assert.Contains("_", (string)request.Attributes[$"fairlead.{id}.id"]!, StringComparison.Ordinal);

        Assert.Equal("gateway-of-the-test", collector.Resource["service.name"]);
        await NothingOfAnybodysWordsAsync(server, collector);
    }

    [Fact]
    public async Task Attempts_FailedThenStreamed_HaveSeparateSpans()
    {
        var number = 0;
        _upstream.Answer = async context =>
        {
            if (Interlocked.Increment(ref number) == 1)
            {
                await FakeUpstream.Json(context, """{"error":{"message":"out of memory on gpu-7","type":"server_error"}}""", 500);
                return;
            }
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant","content":"one"}"""));
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":" two"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        await using var collector = await OtlpReceiver.StartAsync(grpc: false);
        await using var server = await ServeAsync(collector, "http/protobuf");
        await CallAsync(server, $$"""{"model":"m","stream":true,"n":1,"messages":[{"role":"user","content":"{{Prompt}}"}]}""");
        var spans = (await collector.SpansAsync(all => all.Count(span => span.Scope == "Fairlead") == 2, Token)).Where(span => span.Scope == "Fairlead").OrderBy(span => span.Start).ToList();
        Assert.Equal((ErrorStatus, "provider_error", 500L), (spans[0].Status, spans[0].Attributes["error.type"], spans[0].Attributes["http.response.status_code"]));
        Assert.True(spans[0].End <= spans[1].Start, "An attempt's span ends with the attempt.");
        Assert.Equal(spans[0].ParentId, spans[1].ParentId);
        Assert.Equal(0L, spans[1].Status);
        Assert.Equal(2L, spans[1].Attributes["fairlead.attempt.number"]);
        Assert.Equal(true, spans[1].Attributes["gen_ai.request.stream"]);
        Assert.True((double)spans[1].Attributes["gen_ai.response.time_to_first_chunk"]! > 0);
        Assert.DoesNotContain("error.type", spans[1].Attributes.Keys);
        await NothingOfAnybodysWordsAsync(server, collector, "gpu-7");
    }

    [Fact]
    public async Task Metrics_StreamAndRefusedCall_FollowSemanticConventions()
    {
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant","content":"one"}"""));
            await goOn.Task.WaitAsync(context.RequestAborted);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":" two"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        await using var collector = await OtlpReceiver.StartAsync(grpc: false);
        await using var server = await ServeAsync(collector, "http/protobuf");
        using (var response = await OpenAsync(server, $$"""{"model":"m","stream":true,"messages":[{"role":"user","content":"{{Prompt}}"}]}"""))
        {
            var body = await response.Content.ReadAsStreamAsync(Token);
            Assert.NotEqual(0, await body.ReadAsync(new byte[1], Token));
            goOn.SetResult();
            await body.CopyToAsync(Stream.Null, Token);
        }
        await CallAsync(server, $$"""{"model":"unknown to the catalogue","messages":[{"role":"user","content":"{{Prompt}}"}]}""");

        var metrics = await collector.MetricsAsync(all => all.TryGetValue("gen_ai.server.request.duration", out var calls) && calls.Points.Count == 2 && all.ContainsKey("gen_ai.client.operation.time_per_output_chunk"), Token);
        Dictionary<string, object?> attempt = new()
        {
            ["gen_ai.operation.name"] = "chat", ["gen_ai.provider.name"] = "openai-compatible", ["gen_ai.request.model"] = "upstream-m", ["gen_ai.response.model"] = "upstream-m-0001",
            ["server.address"] = "127.0.0.1", ["server.port"] = (long)UpstreamPort, ["fairlead.provider"] = "up", ["fairlead.deployment"] = "up/upstream-m",
        };
        foreach (var name in (string[])["gen_ai.client.operation.duration", "gen_ai.client.operation.time_to_first_chunk", "gen_ai.client.operation.time_per_output_chunk"])
        {
            var metric = metrics[name];
            Assert.Equal("s", metric.Unit);
            var point = Assert.Single(metric.Points);
            Assert.Equal(Durations, point.Bounds);
            Assert.Equal(1, point.Count);
            Assert.Equivalent(attempt, point.Attributes, strict: true);
        }
        var tokens = metrics["gen_ai.client.token.usage"];
        Assert.Equal("{token}", tokens.Unit);
        Assert.All(tokens.Points, point => Assert.Equal(Tokens, point.Bounds));
        Assert.Equal(["input", "output"], tokens.Points.Select(point => (string)point.Attributes["gen_ai.token.type"]!).Order());
        Assert.All(tokens.Points, point => Assert.Equivalent(attempt, point.Attributes.Where(pair => pair.Key != "gen_ai.token.type").ToDictionary(), strict: true));
        foreach (var name in (string[])["gen_ai.server.time_to_first_token", "gen_ai.server.time_per_output_token"])
        {
            Assert.Equal("s", metrics[name].Unit);
            Assert.Equal("chat", Assert.Single(metrics[name].Points).Attributes["gen_ai.operation.name"]);
        }
        // A name that a client made up is no label: anybody could make series without end.
        var calls = metrics["gen_ai.server.request.duration"].Points;
        var refused = Assert.Single(calls, point => point.Attributes.ContainsKey("error.type"));
        Assert.Equal("model_not_found", refused.Attributes["error.type"]);
        Assert.DoesNotContain("gen_ai.request.model", refused.Attributes.Keys);
        Assert.All(metrics.Values.SelectMany(metric => metric.Points), point => Assert.DoesNotContain(point.Attributes.Values, value => value is string text && (text.Contains("key_", StringComparison.Ordinal) || text.Contains("unknown", StringComparison.Ordinal))));
        await NothingOfAnybodysWordsAsync(server, collector);
    }

    [Fact]
    public async Task Completions_Span_HasOwnOperationName()
    {
        _upstream.Answer = context => FakeUpstream.Json(context, """{"id":"cmpl-1","object":"text_completion","created":1,"model":"upstream-m-0001","choices":[{"index":0,"text":"x","logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}""");
        await using var collector = await OtlpReceiver.StartAsync(grpc: false);
        await using var server = await ServeAsync(collector, "http/protobuf");
        await CallAsync(server, """{"model":"m","prompt":"once","max_tokens":5}""", "/v1/completions");
        var spans = await collector.SpansAsync(all => all.Any(span => span.Scope == "Fairlead"), Token);
        var span = Assert.Single(spans, span => span.Scope == "Fairlead");
        Assert.Equal(("text_completion upstream-m", "text_completion"), (span.Name, span.Attributes["gen_ai.operation.name"]));
    }

    private static async Task NothingOfAnybodysWordsAsync(ServerProcess server, OtlpReceiver collector, params string[] more)
    {
        var raw = collector.Raw;
        foreach (var secret in (string[])[Prompt, Answer, "sk-upstream-secret", await server.ClientKeyAsync(), .. more]) Assert.DoesNotContain(secret, raw, StringComparison.Ordinal);
    }

    private static async Task CallAsync(ServerProcess server, string body, string path = "/v1/chat/completions")
    {
        using var response = await OpenAsync(server, body, path);
        await response.Content.CopyToAsync(Stream.Null, Token);
    }

    private static async Task<HttpResponseMessage> OpenAsync(ServerProcess server, string body, string path = "/v1/chat/completions")
    {
        return await server.Client.PostJsonAsync(
            server.Address + path,
            body,
            [("Authorization", $"Bearer {await server.ClientKeyAsync()}"), ("traceparent", $"00-{TraceId}-00f067aa0ba902b7-01")]);
    }

    private async Task<ServerProcess> ServeAsync(OtlpReceiver collector, string protocol, params (string Name, string Value)[] more)
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "fairlead.yaml"), _upstream.Yaml("  retry: { baseDelay: 1ms }"), Token);
        return await ServerProcess.ServeAsync(
            _folder,
            [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.Url), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_BSP_SCHEDULE_DELAY", "100"), ("OTEL_METRIC_EXPORT_INTERVAL", "200"), .. more,
            ]);
    }
}
