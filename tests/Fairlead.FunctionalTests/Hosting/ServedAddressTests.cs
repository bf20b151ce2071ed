using System.Text.Json;

namespace Fairlead.FunctionalTests.Hosting;

/// <summary>Addresses that the ready server does not have. Unlike an app that embeds the gateway, it serves nothing else, so each gets an error of the list.</summary>
public sealed class ServedAddressTests(ServerFixture fixture) : IClassFixture<ServerFixture>
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("GET", "/foo", 404, "not_found")]
    [InlineData("POST", "/foo/bar?a=b", 404, "not_found")]
    [InlineData("GET", "/favicon.ico", 404, "not_found")]
    [InlineData("GET", "/shop/files", 404, "not_found")]
    [InlineData("POST", "/chat/completions", 404, "not_found")]
    [InlineData("POST", "//v1/chat/completions", 404, "not_found")]
    [InlineData("POST", "/messages", 404, "not_found")]
    [InlineData("POST", "/livez", 405, "method_not_allowed")]
    [InlineData("DELETE", "/docs/start", 405, "method_not_allowed")]
    public async Task Path_Unknown_ReturnsJsonError(string method, string path, int status, string code)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), new Uri(fixture.Server.Address + path));
        using var response = await fixture.Server.Client.SendAsync(request, Token);
        Assert.Equal(status, (int)response.StatusCode);
        Assert.StartsWith("req_", Assert.Single(response.Headers.GetValues("x-request-id")), StringComparison.Ordinal);
        var body = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Token)).RootElement;
        var isProblem = response.Content.Headers.ContentType?.MediaType == "application/problem+json";
        Assert.Equal(code, (isProblem ? body : body.GetProperty("error")).GetProperty("code").GetString());
        // In the shape of the interface that was meant, where one was.
        Assert.Equal(!path.Contains("completions", StringComparison.Ordinal) && path != "/messages", isProblem);
        if (!isProblem) Assert.Contains("Did you mean /v1/", body.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
    }
}
