using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Tests.Errors;

public sealed class ErrorCatalogueTests
{
    public static TheoryData<ErrorCode> Codes => new(Enum.GetValues<ErrorCode>());

    [Theory]
    [MemberData(nameof(Codes))]
    public void Definition_EveryErrorCode_ExistsAndIsComplete(ErrorCode code)
    {
        var definition = ErrorCatalogue.Get(code);
        Assert.Equal(code, definition.Code);
        Assert.Same(definition, ErrorCatalogue.Find(definition.Name));
        Assert.Matches("^[a-z0-9_]+$", definition.Name);
        Assert.NotEmpty(definition.Title);
        Assert.NotEmpty(definition.Remedy);
        Assert.InRange(definition.Status, 400, 599);
        Assert.Equal(1, ErrorCatalogue.All.Count(other => other.Name == definition.Name));
    }

    [Theory]
    [MemberData(nameof(Codes))]
    public void ErrorBody_EveryShape_HasFieldsClientsRead(ErrorCode code)
    {
        var error = new GatewayError(code, "because \"é\"") { Parameter = "a.b", RetryAfter = TimeSpan.FromSeconds(1.5) };
        var openAi = Body(error, ErrorShape.OpenAi).GetProperty("error");
        Assert.Equal(error.Message, openAi.GetProperty("message").GetString());
        Assert.Equal("a.b", openAi.GetProperty("param").GetString());
        Assert.Equal(error.Definition.Name, openAi.GetProperty("code").GetString());
        Assert.Equal(JsonValueKind.String, openAi.GetProperty("type").ValueKind);
        Assert.Equal(1500, openAi.GetProperty("retry_after_ms").GetInt64());

        var anthropic = Body(error, ErrorShape.Anthropic);
        Assert.Equal("error", anthropic.GetProperty("type").GetString());
        Assert.Equal("req_1", anthropic.GetProperty("request_id").GetString());
        Assert.Equal(error.Definition.AnthropicType, anthropic.GetProperty("error").GetProperty("type").GetString());

        var problem = Body(error, ErrorShape.Problem);
        Assert.Equal(error.Definition.Status, problem.GetProperty("status").GetInt32());
        Assert.Equal(error.Definition.DocPath, problem.GetProperty("type").GetString());
        Assert.Equal(error.Definition.Retryable, problem.GetProperty("retryable").GetBoolean());
        Assert.Equal(JsonValueKind.Array, problem.GetProperty("errors").ValueKind);
    }

    [Theory]
    [MemberData(nameof(Codes))]
    public void WriteHead_RetryHeaders_MatchErrorCode(ErrorCode code)
    {
        foreach (var shape in Enum.GetValues<ErrorShape>())
        {
            var context = new DefaultHttpContext();
            ErrorResponses.WriteHead(context.Response, new GatewayError(code, "x") { RetryAfter = TimeSpan.FromSeconds(1.2) }, shape);
            var retryable = ErrorCatalogue.Get(code).Retryable;
            Assert.Equal(retryable ? "2" : "", context.Response.Headers.RetryAfter.ToString());
            var askedByClients = context.Response.StatusCode is 409 or 429 or >= 500;
            Assert.Equal(!retryable && askedByClients ? "false" : "", context.Response.Headers["x-should-retry"].ToString());
            if (context.Response.StatusCode == 401) Assert.StartsWith("Bearer", context.Response.Headers.WWWAuthenticate.ToString(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void WriteHead_LongRetryAfter_OmitsRetryAfterHeader()
    {
        var context = new DefaultHttpContext();
        ErrorResponses.WriteHead(context.Response, new GatewayError(ErrorCode.RateLimitExceeded, "x") { RetryAfter = TimeSpan.FromMinutes(5) }, ErrorShape.OpenAi);
        Assert.Empty(context.Response.Headers.RetryAfter.ToString());
    }

    private static JsonElement Body(GatewayError error, ErrorShape shape)
    {
        using var output = new PooledBuffer();
        ErrorBodyWriter.WriteBody(output, error, shape, "req_1");
        return JsonDocument.Parse(output.WrittenMemory.ToArray()).RootElement;
    }
}
