using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Tests.Http;

public sealed class PublicAddressTests
{
    [Fact]
    public void Link_FromRequest_UsesItsSchemeHostAndPathBase()
    {
        var context = new DefaultHttpContext();
        context.Request.Scheme = "https";
        context.Request.Host = new HostString("ai.example.com", 8443);
        context.Request.PathBase = "/gateway";
        Assert.Equal("https://ai.example.com:8443/gateway/docs/errors#x", context.GetPublicAddress().Link("/docs/errors#x"));
    }

    [Fact]
    public void Reference_UnderPathBaseOrBehindProxy_PointsToThisServer()
    {
        var context = new DefaultHttpContext();
        context.Request.Scheme = "https";
        context.Request.Host = new HostString("10.0.0.7");
        Assert.Equal("/v2/x", context.GetPublicAddress().Reference("/v2/x"));
        context.Request.PathBase = "/gateway";
        Assert.Equal("/gateway/v2/x", context.GetPublicAddress().Reference("/v2/x"));
        Assert.Equal("https://ai.example.com/llm/v2/x", context.Request.GetPublicAddress("https://ai.example.com/llm").Reference("/v2/x"));
    }

    [Fact]
    public void Link_WithoutHost_StaysRelativePath() => Assert.Equal("/docs", new DefaultHttpContext().GetPublicAddress().Link("/docs"));

    [Fact]
    public void Link_ConfiguredPublicAddress_OverridesRequestHost()
    {
        var context = new DefaultHttpContext();
        context.Request.Host = new HostString("10.0.0.7");
        Assert.Equal("https://ai.example.com/docs", context.Request.GetPublicAddress("https://ai.example.com").Link("/docs"));
    }

    [Theory]
    [InlineData(nameof(ErrorShape.OpenAi))]
    [InlineData(nameof(ErrorShape.Anthropic))]
    [InlineData(nameof(ErrorShape.Problem))]
    public void ErrorBody_EveryShape_LinksToPublicAddress(string shape)
    {
        using var output = new PooledBuffer();
        ErrorBodyWriter.WriteBody(output, new GatewayError(ErrorCode.ShuttingDown, "x"), Enum.Parse<ErrorShape>(shape), "req_1", new PublicAddress("https://ai.example.com", null, null, null));
        var body = JsonDocument.Parse(output.WrittenMemory.ToArray()).RootElement;
        var holder = Enum.Parse<ErrorShape>(shape) == ErrorShape.Problem ? body : body.GetProperty("error");
        Assert.Equal("https://ai.example.com/docs/errors#shutting_down", holder.GetProperty("doc_url").GetString());
    }
}
