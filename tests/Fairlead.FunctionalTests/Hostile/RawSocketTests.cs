using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Errors;
using Fairlead.FunctionalTests.Errors;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>
/// Socket traffic that violates HTTP is refused or the connection is closed, in bounded time. Nothing is held afterwards.
/// </summary>
public sealed class RawSocketTests(HostileGateway world) : IClassFixture<HostileGateway>
{
    private const string Valid = """{"model":"sim-fast","messages":[{"role":"user","content":"x"}]}""";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private string Head => $"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Type: application/json\r\nAuthorization: Bearer {world.Gateway.Key}\r\n";

    [Theory]
    [InlineData("POST", "/v1/chat/completions", ErrorShape.OpenAi)]
    [InlineData("POST", "/v1/completions", ErrorShape.OpenAi)]
    [InlineData("POST", "/v1/embeddings", ErrorShape.OpenAi)]
    [InlineData("POST", "/v1/messages", ErrorShape.Anthropic)]
    [InlineData("POST", "/v1/messages/count_tokens", ErrorShape.Anthropic)]
    [InlineData("POST", "/admin/v1/organizations", ErrorShape.Problem)]
    [InlineData("POST", "/admin/v1/keys", ErrorShape.Problem)]
    [InlineData("PATCH", "/admin/v1/organizations/org_1", ErrorShape.Problem)]
    public async Task UnauthenticatedRequest_WithExpectContinue_Returns401WithoutReadingBody(string method, string path, ErrorShape shape)
    {
        foreach (var credential in (string[])["", "Authorization: Bearer fl_unknown\r\n"])
        {
            using var connection = await RawConnection.OpenAsync(world.Gateway.Url, Token);
            await connection.SendAsync($"{method} {path} HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n{credential}Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n", Token);
            // Not one byte of the body is sent, and none is asked for.
            var answer = await connection.ReadAnswerAsync(Token);
            Assert.StartsWith("HTTP/1.1 401", answer, StringComparison.Ordinal);
            Assert.DoesNotContain("100 Continue", answer, StringComparison.Ordinal);
            ReadError(answer, shape);
        }
    }

    [Fact]
    public async Task AuthenticatedRequest_WithExpectContinue_Returns100ThenResponse()
    {
        using var connection = await RawConnection.OpenAsync(world.Gateway.Url, Token);
        await connection.SendAsync($"{Head}Expect: 100-continue\r\nContent-Length: {Valid.Length}\r\n\r\n", Token);
        Assert.StartsWith("HTTP/1.1 100 Continue", await connection.ReadHeadAsync(Token), StringComparison.Ordinal);
        await connection.SendAsync(Valid, Token);
        Assert.StartsWith("HTTP/1.1 200 OK", await connection.ReadToEndAsync(Token), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Content-Length: 10\r\n\r\n" + Valid, "malformed_json")]
    [InlineData("Content-Length: 0\r\n\r\n", "malformed_json")]
    [InlineData("Content-Length: 99999999999\r\n\r\n{", "payload_too_large")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", "malformed_json")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":1}\r\n0\r\n\r\n", "malformed_json")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n", "malformed_json")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n", "malformed_json")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "malformed_json")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n2;x=\"y\"\r\n{}\r\n0\r\nTrailer: x\r\n\r\n", "missing_required_parameter")]
    public async Task Body_DeclaredLengthMismatch_IsRefused(string rest, string code)
    {
        using var connection = await RawConnection.OpenAsync(world.Gateway.Url, Token);
        await connection.SendAsync(Head + rest, Token);
        var answer = await connection.ReadAnswerAsync(Token);
        Assert.StartsWith("HTTP/1.1 4", answer, StringComparison.Ordinal);
        Assert.Equal(code, ReadError(answer, ErrorShape.OpenAi).Code);
        await world.HoldsNothingAsync(Token);
    }

    [Theory]
    [InlineData("Content-Length: 1000\r\n\r\n{\"model\":")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n100\r\n{\"model\":")]
    public async Task Body_ConnectionClosedMidBody_EndsCall(string rest)
    {
        using var connection = await RawConnection.OpenAsync(world.Gateway.Url, Token);
        await connection.SendAsync(Head + rest, Token);
        connection.FinishSending();
        var answer = await connection.ReadToEndAsync(Token);
        // A closed connection may get no response. If it gets one, it is a refusal.
        if (answer.Length > 0) Assert.Equal("malformed_json", ReadError(answer, ErrorShape.OpenAi).Code);
        await world.HoldsNothingAsync(Token);
    }

    [Theory]
    [InlineData("/v1/chat/completions", ErrorShape.OpenAi)]
    [InlineData("/v1/messages", ErrorShape.Anthropic)]
    [InlineData("/admin/v1/organizations", ErrorShape.Problem)]
    public async Task Body_Stalled_IsAbortedWithError(string path, ErrorShape shape)
    {
        var key = shape == ErrorShape.Problem ? Common.TestGateway.AdminKey : world.Gateway.Key;
        using var connection = await RawConnection.OpenAsync(world.Gateway.Url, Token);
        await connection.SendAsync($"POST {path} HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nAuthorization: Bearer {key}\r\nContent-Length: 1000\r\n\r\n{{\"model\":", Token);
        var answer = await connection.ReadAnswerAsync(Token);
        var error = ReadError(answer, shape);
        Assert.Equal("malformed_json", error.Code);
        Assert.Contains("too slowly", error.Message, StringComparison.Ordinal);
        await world.HoldsNothingAsync(Token);
    }

    [Theory]
    [InlineData("Content-Length: abc\r\n\r\n{}")]
    [InlineData("Content-Length: -1\r\n\r\n{}")]
    [InlineData("Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}")]
    [InlineData("Transfer-Encoding: gzip\r\n\r\n{}")]
    [InlineData("No colon here\r\n\r\n")]
    [InlineData(" folded: x\r\n\r\n")]
    [InlineData("Bad\u0001Name: x\r\n\r\n")]
    [InlineData("X: a\u0000b\r\n\r\n")]
    [InlineData("Host: another\r\n\r\n")]
    public async Task RequestHead_Malformed_Returns4xx(string rest)
    {
        using var connection = await RawConnection.OpenAsync(world.Gateway.Url, Token);
        await connection.SendAsync(Head + rest, Token);
        var answer = await connection.ReadToEndAsync(Token);
        Assert.StartsWith("HTTP/1.1 4", answer, StringComparison.Ordinal);
        await world.HoldsNothingAsync(Token);
    }

    [Theory]
    [InlineData("\u0000\u0001\u0002\u0003\r\n\r\n")]
    [InlineData("GET\r\n\r\n")]
    [InlineData("GET /v1/%00 HTTP/1.1\r\nHost: g\r\n\r\n")]
    [InlineData("GET /v1/% HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n")]
    [InlineData("GET /v1/models HTTP/9.9\r\nHost: g\r\n\r\n")]
    [InlineData("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrubbish")]
    [InlineData("\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003\r\n\r\n")]
    public async Task RequestLine_Garbage_ClosesConnection(string text)
    {
        using var connection = await RawConnection.OpenAsync(world.Gateway.Url, Token);
        await connection.SendAsync(text, Token);
        var answer = await connection.ReadToEndAsync(Token);
        if (answer.StartsWith("HTTP/1.1 ", StringComparison.Ordinal)) Assert.InRange(int.Parse(answer.AsSpan(9, 3), CultureInfo.InvariantCulture), 400, 505);
        Assert.DoesNotContain("HTTP/1.1 200", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task RequestHead_NeverCompleted_Returns408()
    {
        using var connection = await RawConnection.OpenAsync(world.Gateway.Url, Token);
        await connection.SendAsync("POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nX-Slow: ", Token);
        var answer = await connection.ReadToEndAsync(Token);
        Assert.StartsWith("HTTP/1.1 408", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task RequestHead_TooLarge_Returns431()
    {
        using var connection = await RawConnection.OpenAsync(world.Gateway.Url, Token);
        await connection.SendAsync($"{Head}X-Large: {new string('x', 40_000)}\r\n\r\n", Token);
        Assert.StartsWith("HTTP/1.1 431", await connection.ReadToEndAsync(Token), StringComparison.Ordinal);
    }

    private static ErrorBody ReadError(string answer, ErrorShape shape)
    {
        var (start, end) = (answer.IndexOf('{', StringComparison.Ordinal), answer.LastIndexOf('}'));
        Assert.True(start > 0 && end > start, answer);
        var text = answer[start..(end + 1)];
        Assert.Empty(HostileDoor.ErrorsOf(shape).Faults(JsonNode.Parse(text)));
        return ErrorBody.Read(JsonDocument.Parse(text).RootElement, shape);
    }
}
