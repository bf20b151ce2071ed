using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Streaming;

/// <summary>How many pieces a stream leaves in: by the request, the key, the configuration.</summary>
public sealed class BatchedStreamTests : IAsyncLifetime
{
    private static readonly string[] Tokens = [.. Enumerable.Range(0, 24).Select(i => $" t{i}")];

    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            if (context.Request.Path.Value!.EndsWith("/responses", StringComparison.Ordinal))
            {
                const string Item = "\"item_id\":\"msg_up\",\"output_index\":0,\"content_index\":0";
                await SendAsync(context, [
                    """{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_up","type":"message","status":"in_progress","role":"assistant","content":[]}}""",
                    .. Tokens.Select((token, i) => $$"""{"type":"response.output_text.delta",{{Item}},"delta":"{{token}}","logprobs":[],"sequence_number":{{i + 2}},"obfuscation":"{{new string('x', i % 7)}}"}"""),
                    $$$"""{"type":"response.completed","sequence_number":99,"response":{"id":"resp_up","object":"response","status":"completed","model":"upstream-m","output":[{"id":"msg_up","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"{{{string.Concat(Tokens)}}}","annotations":[]}]}],"usage":{"input_tokens":3,"output_tokens":24,"total_tokens":27} } }""",
                ]);
                return;
            }
            await SendAsync(context, [Chunk("""{"role":"assistant","content":""}"""), .. Tokens.Select(token => Chunk($$"""{"content":"{{token}}"}""")), Chunk("{}", "stop"), UsageChunk(), "[DONE]"]);
        };
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Theory]
    [InlineData("""{"batch_tokens":1}""", 1)]
    [InlineData("""{"batch_tokens":8,"batch_delay_ms":1000}""", 8)]
    [InlineData("""{"batch_tokens":64,"batch_delay_ms":1000}""", 64)]
    [InlineData("""{"batch_delay_ms":1000}""", 4)]
    public async Task Chat_BurstOfTokens_IsSentInRequestedBatchSize(string extension, int size)
    {
        var texts = await TextsAsync("/v1/chat/completions", $$"""{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}],"fairlead":{{extension}}}""");
        AssertPieces(texts, size);
    }

    [Theory]
    [InlineData("/v1/messages", """{"model":"m","stream":true,"max_tokens":100,"messages":[{"role":"user","content":"hi"}],"fairlead":{"batch_tokens":8,"batch_delay_ms":1000}}""")]
    [InlineData("/v1/responses", """{"model":"m","stream":true,"input":"hi","fairlead":{"batch_tokens":8,"batch_delay_ms":1000}}""")]
    public async Task OtherDialects_TranslatedStream_IsBatched(string path, string body)
    {
        var texts = await TextsAsync(path, body);
        AssertPieces(texts, 8);
    }

    [Fact]
    public async Task Key_WithBatchSettings_AppliesThemAsRequestDefaults()
    {
        var (secret, id) = await _gateway.MakeKeyAsync("\"batch_tokens\":12,\"batch_delay_ms\":1000");
        using var client = _gateway.MakeClient(secret);
        const string Body = """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""";
        AssertPieces(await TextsAsync("/v1/chat/completions", Body, client), 12);

        var key = JsonDocument.Parse(await _gateway.Admin.GetStringAsync(new Uri($"/admin/v1/keys/{id}", UriKind.Relative), Cancel)).RootElement;
        Assert.Equal((12, 1000), (key.GetProperty("batch_tokens").GetInt32(), key.GetProperty("batch_delay_ms").GetInt32()));
        using var change = new StringContent("""{"batch_tokens":null}""", Encoding.UTF8, "application/json");
        using var changed = await _gateway.Admin.PatchAsync(new Uri($"/admin/v1/keys/{id}", UriKind.Relative), change, Cancel);
        Assert.Equal(HttpStatusCode.OK, changed.StatusCode);
        AssertPieces(await TextsAsync("/v1/chat/completions", Body, client), 4);
    }

    [Theory]
    [InlineData("""{"batch_tokens":0}""", "fairlead.batch_tokens")]
    [InlineData("""{"batch_tokens":65}""", "fairlead.batch_tokens")]
    [InlineData("""{"batch_tokens":"4"}""", "fairlead.batch_tokens")]
    [InlineData("""{"batch_delay_ms":1001}""", "fairlead.batch_delay_ms")]
    [InlineData("""{"batch_delay_ms":-1}""", "fairlead.batch_delay_ms")]
    public async Task BatchTokens_OutOfRange_Returns400NamingParameter(string extension, string field)
    {
        using var content = new StringContent($$"""{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}],"fairlead":{{extension}}}""", Encoding.UTF8, "application/json");
        using var response = await _gateway.Client.PostAsync(new Uri("/v1/chat/completions", UriKind.Relative), content, Cancel);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        var error = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("error");
        Assert.Equal(field, error.GetProperty("param").GetString());
    }

    // The first read is sent at once, so its last piece may be smaller than the batch size. So may the very last piece.
    private static void AssertPieces(List<string> texts, int size)
    {
        Assert.Equal(string.Concat(Tokens), string.Concat(texts));
        Assert.All(texts, text => Assert.InRange(text.Count(c => c == ' '), 1, size));
        Assert.InRange(texts.Count, Tokens.Length / size, (Tokens.Length / size) + (size == 1 ? 0 : 2));
        Assert.Contains(texts, text => text.Count(c => c == ' ') >= Math.Min(size, Tokens.Length / 3));
    }

    private async Task<List<string>> TextsAsync(string path, string body, HttpClient? client = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        using var response = await (client ?? _gateway.Client).SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.False(stream.Broken, stream.Raw);
        return [.. stream.Events.Where(one => one.Data != "[DONE]").Select(Text).Where(text => !string.IsNullOrEmpty(text)).Select(text => text!)];
    }

    private static string? Text(SeenEvent one)
    {
        var json = one.Json;
        if (one.Name == "response.output_text.delta") return json.GetProperty("delta").GetString();
        if (one.Name == "content_block_delta") return json.GetProperty("delta").GetProperty("text").GetString();
        if (one.Name is not null || !json.TryGetProperty("choices", out var choices) || choices.GetArrayLength() == 0) return null;
        return choices[0].GetProperty("delta").TryGetProperty("content", out var content) ? content.GetString() : null;
    }
}
