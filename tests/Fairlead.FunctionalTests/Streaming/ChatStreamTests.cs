using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Limits;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Streaming;

/// <summary>Chat streams that go through in their own dialect, with everything an upstream can do wrong.</summary>
public sealed class ChatStreamTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync(_upstream.Yaml("""
              retry: { maxRetries: 1, baseDelay: 1ms, maxDelay: 5ms }
              stream: { keepAlive: 1s, commitAfter: 1s }
            """.Replace("\n    ", "\n  ", StringComparison.Ordinal)));
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Fact]
    public async Task Stream_Complete_HasMetadataInFirstAndLastAndSequenceWithoutGaps()
    {
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":""}"""), Chunk("""{"content":"Hel"}""", more: ",\"vendor\":{\"x\":1}"), Chunk("""{"content":"lo"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}],"custom_field":[1,2]}""");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.False(stream.Broken);
        Assert.Equal("[DONE]", stream.Events[^1].Data);
        var chunks = stream.Events.SkipLast(1).ToList();
        Assert.Equal(Enumerable.Range(0, chunks.Count).Select(i => $"{i}"), chunks.Select(chunk => chunk.Id));
        Assert.Equal(Enumerable.Range(0, chunks.Count), chunks.Select(chunk => chunk.Json.GetProperty("sequence_number").GetInt32()));
        Assert.All(chunks, chunk => Assert.Equal("m", chunk.Json.GetProperty("model").GetString()));
        Assert.All(chunks, chunk => Assert.NotEqual(0, chunk.Json.GetProperty("choices").GetArrayLength()));
        Assert.Contains(chunks, chunk => chunk.Json.TryGetProperty("vendor", out _));

        var first = chunks[0].Json.GetProperty("fairlead");
        Assert.Equal(response.Headers.GetValues("Fairlead-Generation").Single(), first.GetProperty("generation_id").GetString());
        var last = chunks[^1].Json;
        Assert.Equal("stop", last.GetProperty("choices")[0].GetProperty("finish_reason").GetString());
        var end = last.GetProperty("fairlead");
        Assert.Equal("complete", end.GetProperty("outcome").GetString());
        Assert.Equal(11, end.GetProperty("usage").GetProperty("input_tokens").GetInt64());
        Assert.Equal(4, end.GetProperty("usage").GetProperty("cached_input_tokens").GetInt64());
        Assert.Equal("measured", end.GetProperty("usage").GetProperty("basis").GetString());
        // (7 × 1 + 4 × 0.5 + 3 × 10) / 1,000,000
        Assert.Equal(0.000039m, end.GetProperty("cost").GetProperty("usd").GetDecimal());

        Assert.True(_upstream.Received.TryPeek(out var sent));
        Assert.Equal("upstream-m", sent.GetProperty("model").GetString());
        Assert.True(sent.GetProperty("stream_options").GetProperty("include_usage").GetBoolean());
        Assert.Equal(2, sent.GetProperty("custom_field").GetArrayLength());
    }

    [Fact]
    public async Task Stream_AbortedByUpstream_EndsWithErrorEventAndAbort()
    {
        var arrived = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"part"}"""));
            // An abort overtakes bytes under way, so it waits for them to have arrived.
            await arrived.Task.WaitAsync(context.RequestAborted);
            Cut(context);
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        arrived.SetResult();
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.True(stream.Broken, stream.Raw);
        Assert.Equal("provider_error", stream.Events[^1].Json.GetProperty("error").GetProperty("code").GetString());
        Assert.DoesNotContain("[DONE]", stream.Raw, StringComparison.Ordinal);
        Assert.DoesNotContain("\"finish_reason\":\"stop\"", stream.Raw, StringComparison.Ordinal);
        await NothingHeldAsync();
    }

    [Fact]
    public async Task Stream_FinishWithoutDone_EndsNormally()
    {
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"all"}"""), Chunk("{}", "stop"));
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.False(stream.Broken, stream.Raw);
        Assert.Equal("[DONE]", stream.Events[^1].Data);
        Assert.Equal("estimated", stream.Events[^2].Json.GetProperty("fairlead").GetProperty("usage").GetProperty("basis").GetString());
    }

    [Fact]
    public async Task Stream_EndsWithoutFinish_IsReportedAsError()
    {
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"half"}"""));
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.True(stream.Broken, stream.Raw);
        Assert.Contains("\"error\"", stream.Events[^1].Data, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stream_BreaksBeforeContent_IsRetried()
    {
        var calls = 0;
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":""}"""));
            if (Interlocked.Increment(ref calls) == 1)
            {
                Cut(context);
                return;
            }
            await SendAsync(context, Chunk("""{"content":"second"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.False(stream.Broken, stream.Raw);
        var attempts = stream.Events[^2].Json.GetProperty("fairlead").GetProperty("attempts");
        Assert.Equal(2, attempts.GetArrayLength());
        Assert.Equal("provider_error", attempts[0].GetProperty("error_code").GetString());
    }

    [Fact]
    public async Task Stream_UpstreamFailsBeforeContent_Returns502()
    {
        _upstream.Answer = context => Json(context, """{"error":{"message":"secret host db-7.internal died","type":"server_error"}}""", 500);
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        Assert.Equal(HttpStatusCode.BadGateway, response.StatusCode);
        var body = await response.Content.ReadAsStringAsync(Cancel);
        Assert.DoesNotContain("db-7", body, StringComparison.Ordinal);
        Assert.Equal(2, _upstream.Received.Count);
        await NothingHeldAsync();
    }

    [Fact]
    public async Task Stream_SlowToStart_SendsKeepAliveThenCompletes()
    {
        var release = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await release.Task.WaitAsync(context.RequestAborted);
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"late"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        release.SetResult();
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.StartsWith(": keep-alive\n\n", stream.Raw, StringComparison.Ordinal);
        Assert.Equal("[DONE]", stream.Events[^1].Data);
    }

    [Fact]
    public async Task Stream_ClientDisconnects_AbortsUpstreamImmediatelyAndIsCharged()
    {
        var stopped = new TaskCompletionSource();
        var started = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            context.RequestAborted.Register(() => stopped.TrySetResult());
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"one two three four five six"}"""));
            started.SetResult();
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        };
        string generation;
        using (var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"""))
        {
            generation = response.Headers.GetValues("Fairlead-Generation").Single();
            await started.Task.WaitAsync(TimeSpan.FromSeconds(20), Cancel);
        }
        await stopped.Task.WaitAsync(TimeSpan.FromSeconds(20), Cancel);
        await NothingHeldAsync();
        var record = await AuditOfAsync(generation);
        Assert.Equal("cancelled", record.GetProperty("outcome").GetString());
        Assert.Equal("estimated", record.GetProperty("usage").GetProperty("basis").GetString());
        Assert.True(record.GetProperty("usage").GetProperty("output_tokens").GetInt64() > 0);
        Assert.True(record.GetProperty("cost_usd").GetDecimal() > 0);
    }

    [Fact]
    public async Task Stream_ClientDisconnectsWithContinueOnDisconnect_IsFinishedAndCharged()
    {
        var release = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"one"}"""));
            await release.Task.WaitAsync(context.RequestAborted);
            await SendAsync(context, Chunk("""{"content":" two"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        string generation;
        using (var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}],"fairlead":{"on_disconnect":"continue"}}"""))
        {
            generation = response.Headers.GetValues("Fairlead-Generation").Single();
            using var body = await response.Content.ReadAsStreamAsync(Cancel);
            Assert.True(await body.ReadAsync(new byte[64], Cancel) > 0);
        }
        release.SetResult();
        await NothingHeldAsync();
        var record = await AuditOfAsync(generation);
        Assert.Equal("complete", record.GetProperty("outcome").GetString());
        Assert.Equal(3, record.GetProperty("usage").GetProperty("output_tokens").GetInt64());
        Assert.True(_upstream.Received.TryPeek(out var sent));
        Assert.False(sent.TryGetProperty("fairlead", out _));
    }

    [Fact]
    public async Task Stream_DeadlinePassesMidway_EndsWithDeadlineExceeded()
    {
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"begun"}"""));
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}],"fairlead":{"deadline_ms":400}}""");
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.True(stream.Broken);
        Assert.Equal("deadline_exceeded", stream.Events[^1].Json.GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public async Task Stream_LongIdle_SendsKeepAliveComments()
    {
        var release = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"a"}"""));
            await release.Task.WaitAsync(context.RequestAborted);
            await SendAsync(context, Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(Cancel));
        while (await reader.ReadLineAsync(Cancel) is { } line && line != ": keep-alive")
        {
            // Reads until the comment comes; the test's own time-out is the bound.
        }
        release.SetResult();
        Assert.Contains("[DONE]", await reader.ReadToEndAsync(Cancel), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stream_MalformedEvent_IsSkippedWithWarning()
    {
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"a"}"""), "{\"choices\":[{", Chunk("""{"content":"b"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.Equal("[DONE]", stream.Events[^1].Data);
        Assert.Equal("ab", string.Concat(stream.Events.SkipLast(1).Select(one => one.Json.GetProperty("choices")[0].GetProperty("delta").TryGetProperty("content", out var text) ? text.GetString() : "")));
        Assert.Contains("malformed", stream.Events[^2].Json.GetProperty("fairlead").GetProperty("warnings").ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stream_ExtensionsOff_HasNativeFormat()
    {
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"a"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        };
        var (secret, _) = await _gateway.MakeKeyAsync("\"extensions\":\"none\"");
        using var client = _gateway.MakeClient(secret);
        using var response = await client.PostJsonAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.DoesNotContain("fairlead", stream.Raw, StringComparison.Ordinal);
        Assert.DoesNotContain("sequence_number", stream.Raw, StringComparison.Ordinal);
        Assert.All(stream.Events, one => Assert.Null(one.Id));
    }

    private async Task NothingHeldAsync()
    {
        var ledger = _gateway.Services.GetRequiredService<InMemoryTokenLedger>();
        for (var i = 0; ledger.Totals().Open > 0; i++)
        {
            Assert.True(i < 400, "A reservation is still held.");
            await Task.Delay(TimeSpan.FromMilliseconds(25), TimeProvider.System, Cancel);
        }
        Assert.Equal((0, 0m), (ledger.Totals().HeldTokens, ledger.Totals().HeldUsd));
    }

    private async Task<JsonElement> AuditOfAsync(string generation)
    {
        using var response = await _gateway.Admin.GetAsync(new Uri($"/admin/v1/audit?generation_id={generation}", UriKind.Relative), Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, text);
        return JsonDocument.Parse(text).RootElement.GetProperty("data").EnumerateArray().Single();
    }
}
