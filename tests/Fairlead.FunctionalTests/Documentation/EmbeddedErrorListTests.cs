using System.Net;
using Fairlead.Errors;
using Fairlead.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.Logging;

namespace Fairlead.FunctionalTests.Documentation;

/// <summary>Where the links of errors lead in a program that embeds the library and serves no guides.</summary>
public sealed class EmbeddedErrorListTests(Common.GatewayFixture fixture) : IClassFixture<Common.GatewayFixture>
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task ErrorListPage_EveryErrorCode_HasEntry()
    {
        using var client = fixture.Gateway.MakeClient(key: null);
        using var response = await client.GetAsync(ErrorListEndpoint.Address, Token);
        Assert.Equal((HttpStatusCode.OK, "text/html"), (response.StatusCode, response.Content.Headers.ContentType!.MediaType));
        var page = await response.Content.ReadAsStringAsync(Token);
        Assert.All(ErrorCatalogue.All, error =>
        {
            Assert.Equal(ErrorListEndpoint.Address, error.DocPath.Split('#')[0]);
            Assert.Contains($"<section id=\"{error.DocPath.Split('#')[1]}\">", page, StringComparison.Ordinal);
            Assert.Contains(WebUtility.HtmlEncode(error.Title), page, StringComparison.Ordinal);
        });
        Assert.DoesNotContain('`', page);
        Assert.DoesNotContain("href=", page, StringComparison.Ordinal);
        Assert.DoesNotContain("src=", page, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ErrorListPage_AppMapsSamePath_AppPageTakesPrecedence()
    {
        // The bare list, an application's own page at the same address, and its fallback.
        await using var app = await StartAsync(endpoints =>
        {
            ErrorListEndpoint.Map(endpoints);
            endpoints.MapGet(ErrorListEndpoint.Address, () => "mine");
            endpoints.MapFallback(() => "fallback");
        });
        Assert.Equal("mine", await app.GetTestClient().GetStringAsync(ErrorListEndpoint.Address, Token));
    }

    [Fact]
    public async Task ErrorListPage_AppHasFallback_TakesPrecedence()
    {
        await using var app = await StartAsync(endpoints =>
        {
            endpoints.MapFallback(() => "fallback");
            ErrorListEndpoint.Map(endpoints);
        });
        Assert.Contains("model_not_found", await app.GetTestClient().GetStringAsync(ErrorListEndpoint.Address, Token), StringComparison.Ordinal);
        Assert.Equal("fallback", await app.GetTestClient().GetStringAsync("/elsewhere", Token));
    }

    private static async Task<WebApplication> StartAsync(Action<WebApplication> map)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseTestServer();
        var app = builder.Build();
        map(app);
        await app.StartAsync(Token);
        return app;
    }
}
