using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Errors;
using Fairlead.FunctionalTests.Errors;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>
/// Unknown addresses and methods return a documented 404 or 405 with the methods that the address accepts, whatever their length.
/// </summary>
public sealed class UnknownAddressTests(HostileGateway world) : IClassFixture<HostileGateway>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("/v1/chat/completions", "GET", "POST", ErrorShape.OpenAi)]
    [InlineData("/v1/chat/completions", "DELETE", "POST", ErrorShape.OpenAi)]
    [InlineData("/v1/completions", "PUT", "POST", ErrorShape.OpenAi)]
    [InlineData("/v1/embeddings", "PATCH", "POST", ErrorShape.OpenAi)]
    [InlineData("/v1/models", "POST", "GET, HEAD", ErrorShape.OpenAi)]
    [InlineData("/v1/models/sim-fast", "DELETE", "GET, HEAD", ErrorShape.OpenAi)]
    [InlineData("/v1/messages", "GET", "POST", ErrorShape.Anthropic)]
    [InlineData("/v1/messages/count_tokens", "BREW", "POST", ErrorShape.Anthropic)]
    [InlineData("/v2/usage", "POST", "GET, HEAD", ErrorShape.Problem)]
    [InlineData("/admin/v1/audit", "DELETE", "GET, HEAD", ErrorShape.Problem)]
    [InlineData("/admin/v1/keys", "PUT", "GET, HEAD, POST", ErrorShape.Problem)]
    public async Task Method_NotAllowed_Returns405WithAllowHeader(string path, string method, string allow, ErrorShape shape)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path) { Content = new StringContent("{") };
        using var response = await (shape == ErrorShape.Problem ? world.Gateway.Admin : world.Gateway.Client).SendAsync(request, Cancel);
        var error = await RefusalAsync(response, shape);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, response.StatusCode);
        Assert.Equal("method_not_allowed", error.Code);
        Assert.Equal(allow, string.Join(", ", response.Content.Headers.Allow));
    }

    [Theory]
    [InlineData("/v1/models")]
    [InlineData("/v1/models/sim-fast")]
    [InlineData("/v1/models/none")]
    [InlineData("/v1/files")]
    [InlineData("/v1/batches")]
    [InlineData("/v2/models")]
    [InlineData("/v2/generations")]
    [InlineData("/v2/usage?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z")]
    [InlineData("/v2/webhooks")]
    [InlineData("/livez")]
    public async Task HeadRequest_ReadableResource_ReturnsGetResponseWithoutBody(string path)
    {
        using var read = await world.Gateway.Client.GetAsync(path, Cancel);
        using var request = new HttpRequestMessage(HttpMethod.Head, path);
        using var head = await world.Gateway.Client.SendAsync(request, Cancel);
        Assert.Equal((read.StatusCode, read.Content.Headers.ContentType), (head.StatusCode, head.Content.Headers.ContentType));
        Assert.Empty(await head.Content.ReadAsByteArrayAsync(Cancel));
        // The connection is still in sync: the next request on it gets its response.
        using var again = await world.Gateway.Client.GetAsync(path, Cancel);
        Assert.Equal(read.StatusCode, again.StatusCode);
    }

    [Theory]
    [InlineData("/v1", ErrorShape.OpenAi)]
    [InlineData("/v1/", ErrorShape.OpenAi)]
    [InlineData("/v1/nothing", ErrorShape.OpenAi)]
    [InlineData("/v1/chat/completions/extra", ErrorShape.OpenAi)]
    [InlineData("/v1/chat%2Fcompletions", ErrorShape.OpenAi)]
    [InlineData("/v1/%01%7f", ErrorShape.OpenAi)]
    [InlineData("/v1/%ff%fe", ErrorShape.OpenAi)]
    [InlineData("/v1/..%2f..%2fetc%2fpasswd", ErrorShape.OpenAi)]
    [InlineData("/v1/models/no-such/%F0%9F%98%80", ErrorShape.OpenAi)]
    [InlineData("/v1/messages/nothing", ErrorShape.Anthropic)]
    [InlineData("/v2/nothing", ErrorShape.Problem)]
    [InlineData("/admin/v1/nothing", ErrorShape.Problem)]
    [InlineData("/admin/v1/keys/key_none", ErrorShape.Problem)]
    [InlineData("/admin/v1/keys/%0d%0aSet-Cookie:x", ErrorShape.Problem)]
    public async Task Path_Unknown_Returns404(string path, ErrorShape shape)
    {
        using var response = await (shape == ErrorShape.Problem ? world.Gateway.Admin : world.Gateway.Client).GetAsync(new Uri(world.Gateway.Url + path), Cancel);
        var error = await RefusalAsync(response, shape);
        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.True(error.Code is "not_found" or "model_not_found", error.Code);
        Assert.False(response.Headers.Contains("Set-Cookie"));
    }

    [Fact]
    public async Task Path_VeryLong_IsTruncatedInErrorMessage()
    {
        using var unknown = await world.Gateway.Client.GetAsync(new Uri("/v1/" + new string('a', 6_000), UriKind.Relative), Cancel);
        var error = await RefusalAsync(unknown, ErrorShape.OpenAi);
        Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
        Assert.Contains("/v1/" + new string('a', 100), error.Message, StringComparison.Ordinal);
        Assert.InRange(error.Message.Length, 200, 300);
    }

    [Fact]
    public async Task Method_VeryLong_IsTruncatedInErrorMessage()
    {
        using var request = new HttpRequestMessage(new HttpMethod(new string('A', 6_000)), "/v1/chat/completions");
        using var response = await world.Gateway.Client.SendAsync(request, Cancel);
        var error = await RefusalAsync(response, ErrorShape.OpenAi);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, response.StatusCode);
        Assert.InRange(error.Message.Length, 200, 400);
    }

    private static async Task<ErrorBody> RefusalAsync(HttpResponseMessage response, ErrorShape shape)
    {
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.Equal(ErrorBodyWriter.ContentTypeOf((Fairlead.Errors.ErrorShape)shape), response.Content.Headers.ContentType?.MediaType);
        Assert.Empty(HostileDoor.ErrorsOf(shape).Faults(JsonNode.Parse(text)));
        return ErrorBody.Read(JsonDocument.Parse(text).RootElement, shape);
    }
}
