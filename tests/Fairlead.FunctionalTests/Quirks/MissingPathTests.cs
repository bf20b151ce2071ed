using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Quirks;

/// <summary>Servers of OpenAI's interface that have chat completions and nothing else, and fields that they know by older names or not at all.</summary>
public sealed class MissingPathTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Theory]
    [InlineData(404, "/v1/responses", """{"model":"m","input":"hi"}""")]
    [InlineData(405, "/v1/responses", """{"model":"m","input":"hi"}""")]
    [InlineData(501, "/v1/responses", """{"model":"m","input":"hi"}""")]
    [InlineData(200, "/v1/responses", """{"model":"m","input":"hi"}""")]
    [InlineData(404, "/v1/responses", """{"model":"m","input":"hi","stream":true}""")]
    [InlineData(200, "/v1/responses", """{"model":"m","input":"hi","stream":true}""")]
    [InlineData(404, "/v1/completions", """{"model":"m","prompt":"hi","max_tokens":20}""")]
    [InlineData(405, "/v1/completions", """{"model":"m","prompt":"hi","max_tokens":20,"stream":true}""")]
    public async Task Path_MissingOnServer_IsTranslatedAndRemembered(int status, string path, string body)
    {
        _upstream.Answer = ChatOnly(status);
        for (var i = 0; i < 3; i++)
        {
            using var response = await _gateway.Client.PostJsonAsync(path, body);
            var text = await response.Content.ReadAsStringAsync(Cancel);
            Assert.True(response.StatusCode == HttpStatusCode.OK, text);
            Assert.Contains("hello", text, StringComparison.Ordinal);
            Assert.DoesNotContain("\"error\":{", text, StringComparison.Ordinal);
        }
        // Asked once, then known.
        Assert.Equal([path, "/v1/chat/completions", "/v1/chat/completions", "/v1/chat/completions"], _upstream.Paths);
    }

    [Fact]
    public async Task UnknownModel_Upstream404_IsNotTreatedAsMissingPath()
    {
        _upstream.Answer = context => Json(context, """{"error":{"message":"model not found, try pulling it first","type":"not_found_error"}}""", 404);
        using var first = await _gateway.Client.PostJsonAsync("/v1/responses", """{"model":"m","input":"hi"}""");
        Assert.Equal(HttpStatusCode.BadGateway, first.StatusCode);
        _upstream.Answer = ChatOnly(200, has: "/v1/responses");
        using var second = await _gateway.Client.PostJsonAsync("/v1/responses", """{"model":"m","input":"hi"}""");
        Assert.Equal("/v1/responses", _upstream.Paths.Last());
    }

    [Fact]
    public async Task ResponsesRequest_BuiltInToolAndUpstreamWithoutPath_Returns400NamingTool()
    {
        _upstream.Answer = ChatOnly(404);
        using var response = await _gateway.Client.PostJsonAsync("/v1/responses", """{"model":"m","input":"hi","tools":[{"type":"web_search"}]}""");
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Contains("tools[0]", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/v1/chat/completions", """{"model":"m","max_completion_tokens":20,"messages":[{"role":"developer","content":"be brief"},{"role":"user","content":"hi"}]}""")]
    [InlineData("/v1/chat/completions", """{"messages":[{"content":"be brief","role":"developer"},{"role":"user","content":"hi"}],"max_completion_tokens":20,"model":"m","stream":true}""")]
    [InlineData("/v1/messages", """{"model":"m","max_tokens":20,"system":"be brief","messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("/v1/responses", """{"model":"m","max_output_tokens":20,"instructions":"be brief","input":"hi"}""")]
    [InlineData("/v2/generations", """{"model":"m","instructions":"be brief","input":"hi","sampling":{"max_output_tokens":20},"delivery":{"mode":"sync"}}""")]
    public async Task NewFieldNames_OpenAiCompatibleServer_AreSentAsOlderNames(string path, string body)
    {
        _upstream.Answer = ChatOnly(404);
        using var response = await _gateway.Client.PostJsonAsync(path, body);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var asked = _upstream.Received.Last();
        Assert.Equal("system", asked.GetProperty("messages")[0].GetProperty("role").GetString());
        Assert.Equal(20, asked.GetProperty("max_tokens").GetInt32());
        Assert.False(asked.TryGetProperty("max_completion_tokens", out _));
    }

    [Fact]
    public async Task OpenAiBehindProxy_RefusesOlderFieldNames_ReceivesNewNames()
    {
        _upstream.Answer = context => Asked(context).TryGetProperty("max_tokens", out _)
            ? Json(context, """{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}""", 400)
            : Json(context, Completion("hello"));
        const string Ask = """{"model":"m","max_completion_tokens":20,"messages":[{"role":"developer","content":"be brief"},{"role":"user","content":"hi"}]}""";
        for (var i = 0; i < 2; i++)
        {
            using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", Ask);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        }
        Assert.Equal(3, _upstream.Received.Count);
        Assert.Equal(20, _upstream.Received.Last().GetProperty("max_completion_tokens").GetInt32());
        Assert.Equal("developer", _upstream.Received.Last().GetProperty("messages")[0].GetProperty("role").GetString());
    }

    private static JsonElement Asked(HttpContext context) => (JsonElement)context.Items[RequestItem]!;

    private static Func<HttpContext, Task> ChatOnly(int status, string? has = null) => async context =>
    {
        if (context.Request.Path != "/v1/chat/completions" && context.Request.Path != has)
        {
            await Json(context, status == 200 ? """{"error":"Unexpected endpoint or method. (POST /v1/responses)"}""" : "Not Found", status);
            return;
        }
        if (Asked(context).TryGetProperty("stream", out var stream) && stream.ValueKind == JsonValueKind.True)
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"hello"}"""), Chunk("{}", "stop", $",\"usage\":{Usage}"), "[DONE]");
            return;
        }
        await Json(context, Completion("hello"));
    };
}
