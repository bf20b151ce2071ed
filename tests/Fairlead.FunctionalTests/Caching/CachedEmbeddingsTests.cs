using System.Globalization;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Coalescing;

namespace Fairlead.FunctionalTests.Caching;

/// <summary>Embeddings of an identical request are kept, whatever way they came.</summary>
public sealed class CachedEmbeddingsTests : IAsyncLifetime
{
    private EmbeddingUpstream _upstream = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await EmbeddingUpstream.StartAsync();
        _upstream.Release();
    }

    public ValueTask DisposeAsync() => _upstream.DisposeAsync();

    [Theory]
    [InlineData(true, "float")]
    [InlineData(true, "base64")]
    [InlineData(false, "float")]
    [InlineData(false, "base64")]
    public async Task Hit_NativeProvider_ReturnsSameVectorsWithoutProviderAndCost(bool coalesces, string format)
    {
        await using var gateway = await StartAsync(coalesces);
        var body = "{\"model\":\"vectors\",\"input\":[\"one\",\"two\",\"one\"],\"encoding_format\":\"" + format + "\",\"fairlead\":{\"cache\":{\"mode\":\"on\"}}}";
        var first = await SendAsync(gateway, body);
        Assert.Equal("miss", first.Cache);
        var requests = _upstream.Requests.Count;
        var second = await SendAsync(gateway, body.Replace("\"input\"", "\"user\":\"u\",\"input\"", StringComparison.Ordinal));
        Assert.Equal("hit", second.Cache);
        Assert.NotNull(second.Age);
        Assert.Equal(requests, _upstream.Requests.Count);
        foreach (var name in (string[])["data", "usage", "model"])
            Assert.Equal(first.Json.GetProperty(name).GetRawText(), second.Json.GetProperty(name).GetRawText());
        var fairlead = second.Json.GetProperty("fairlead");
        Assert.True(fairlead.GetProperty("cached").GetBoolean());
        Assert.Equal(0m, fairlead.GetProperty("cost").GetProperty("usd").GetDecimal());
        Assert.Equal(0, fairlead.GetProperty("attempts").GetArrayLength());
        Assert.Equal(
            first.Json.GetProperty("usage").GetProperty("prompt_tokens").GetInt64(), fairlead.GetProperty("original_usage").GetProperty("input_tokens").GetInt64());

        // Another input, order, format or length is another request.
        foreach (var other in (string[])[body.Replace("two", "six", StringComparison.Ordinal), body.Replace("\"one\",\"two\"", "\"two\",\"one\"", StringComparison.Ordinal)])
            Assert.Equal("miss", (await SendAsync(gateway, other)).Cache);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Hit_TranslatedProvider_ReturnsSameVectors(bool coalesces)
    {
        await using var gateway = await StartAsync(coalesces);
        const string Body = """{"model":"sim-embed","input":["a text","another"],"fairlead":{"cache":{"mode":"on"}}}""";
        var first = await SendAsync(gateway, Body);
        var second = await SendAsync(gateway, Body);
        Assert.Equal(("miss", "hit"), (first.Cache, second.Cache));
        foreach (var name in (string[])["data", "usage", "model"])
            Assert.Equal(first.Json.GetProperty(name).GetRawText(), second.Json.GetProperty(name).GetRawText());
    }

    /// <summary>Embeddings do not depend on chance: the mode of a key is enough.</summary>
    [Fact]
    public async Task Key_WithMode_IsEnough()
    {
        await using var gateway = await StartAsync(coalesces: true);
        var made = await gateway.Admin.PostForJsonAsync(
            "/admin/v1/keys", $$"""{"name":"k","project_id":"{{gateway.ProjectId}}","cache":"on"}""");
        using var client = gateway.MakeClient(made.GetProperty("secret").GetString());
        const string Body = """{"model":"vectors","input":"one"}""";
        Assert.Equal(("miss", "hit"), ((await SendAsync(client, Body)).Cache, (await SendAsync(client, Body)).Cache));
    }

    [Fact]
    public async Task Error_IsNotKept()
    {
        await using var gateway = await StartAsync(coalesces: true);
        const string Body = """{"model":"vectors","input":"one","fairlead":{"cache":{"mode":"on"}}}""";
        _upstream.StatusOf = _ => 400;
        using (var failed = await gateway.Client.PostJsonAsync("/v1/embeddings", Body)) Assert.Equal(400, (int)failed.StatusCode);
        _upstream.StatusOf = _ => null;
        Assert.Equal("miss", (await SendAsync(gateway, Body)).Cache);
        Assert.Equal("hit", (await SendAsync(gateway, Body)).Cache);
    }

    private Task<TestGateway> StartAsync(bool coalesces) => TestGateway.StartAsync(
        _upstream.Yaml(string.Create(CultureInfo.InvariantCulture, $"  cache: {{ enabled: true }}\n  coalescing: {{ embeddings: {(coalesces ? "true" : "false")} }}")));

    private static Task<(string? Cache, string? Age, JsonElement Json)> SendAsync(TestGateway gateway, string body) => SendAsync(gateway.Client, body);

    private static async Task<(string? Cache, string? Age, JsonElement Json)> SendAsync(HttpClient client, string body)
    {
        using var response = await client.PostJsonAsync("/v1/embeddings", body);
        var text = await response.Content.ReadAsStringAsync(Token);
        Assert.True(response.IsSuccessStatusCode, text);
        return (Header("Fairlead-Cache"), Header("Age"), JsonDocument.Parse(text).RootElement);

        string? Header(string name) => response.Headers.TryGetValues(name, out var values) ? values.Single() : null;
    }
}
