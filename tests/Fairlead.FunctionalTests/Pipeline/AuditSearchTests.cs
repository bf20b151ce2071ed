using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;

namespace Fairlead.FunctionalTests.Pipeline;

public sealed class SqliteAuditSearchTests() : AuditSearchTests(StorageProvider.Sqlite);

public sealed class PostgresAuditSearchTests() : AuditSearchTests(StorageProvider.Postgres);

/// <summary>Calls of every dialect are found by their end user and their metadata.</summary>
public abstract class AuditSearchTests : IAsyncLifetime
{
    private const string Messages = "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]";

    private readonly StorageProvider _store;
    private TestGateway _gateway = null!;

    private protected AuditSearchTests(StorageProvider store) => _store = store;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _gateway = await TestGateway.StartAsync(_store);

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Search_ByEndUserAndMetadata_FindsCallsOfAllDialects()
    {
        await CallAsync("/v1/chat/completions", "{\"model\":\"sim-fast\"," + Messages + ",\"user\":\"other\",\"safety_identifier\":\"alice\",\"metadata\":{\"n\":\"chat\"}}");
        await CallAsync("/v1/chat/completions", "{\"model\":\"sim-fast\",\"stream\":true," + Messages + ",\"user\":\"alice\",\"metadata\":{\"n\":\"stream\",\"team\":\"search\"}}");
        await CallAsync("/v1/completions", """{"model":"sim-fast","prompt":"hi","user":"alice"}""");
        await CallAsync("/v1/responses", """{"model":"sim-fast","input":"hi","store":false,"safety_identifier":"alice","metadata":{"n":"responses"}}""");
        await CallAsync("/v1/messages", "{\"model\":\"sim-fast\",\"max_tokens\":9," + Messages + ",\"metadata\":{\"user_id\":\"alice\"}}");
        await CallAsync("/v1/embeddings", """{"model":"sim-embed","input":"hi","user":"alice"}""");
        await CallAsync("/v2/generations", """{"model":"sim-fast","input":"hi","delivery":{"mode":"sync"},"metadata":{"n":"v2","team":"search"}}""");
        await CallAsync("/v1/chat/completions", "{\"model\":\"nothing\"," + Messages + ",\"user\":\"alice\"}", HttpStatusCode.NotFound);
        await CallAsync("/v1/chat/completions", "{\"model\":\"sim-fast\"," + Messages + "}");

        string[] all = ["/v1/chat/completions", "/v1/chat/completions", "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/messages", "/v1/responses"];
        Assert.Equal(all, await EndpointsAsync("user=alice"));
        Assert.Empty(await EndpointsAsync("user=other"));
        Assert.Equal(["/v1/chat/completions"], await EndpointsAsync("user=alice&code=model_not_found"));
        Assert.Equal(["/v1/chat/completions", "/v2/generations"], await EndpointsAsync("metadata.team=search"));
        foreach (var (name, endpoint) in ((string, string)[])[("chat", "/v1/chat/completions"), ("stream", "/v1/chat/completions"), ("responses", "/v1/responses"), ("v2", "/v2/generations")])
            Assert.Equal([endpoint], await EndpointsAsync("metadata.n=" + name));
        Assert.Equal(9, (await EndpointsAsync("min_cost_usd=0")).Length);
        Assert.Empty(await EndpointsAsync("min_cost_usd=1000"));
    }

    [Fact]
    public async Task Search_Job_IsFoundByItsMetadata()
    {
        var job = await _gateway.Client.PostForJsonAsync("/v2/generations", """{"model":"sim-fast","input":"hi","delivery":{"mode":"job"},"metadata":{"n":"job"}}""");
        await _gateway.Client.GetJsonAsync($"/v2/generations/{job.GetProperty("id").GetString()}?wait=60");
        Assert.Equal(["/v2/generations"], await EndpointsAsync("metadata.n=job"));
    }

    [Theory]
    [InlineData("min_cost_usd=-1", "min_cost_usd")]
    [InlineData("metadata.=x", "metadata.")]
    [InlineData("user=", "user")]
    [InlineData("colour=red", "colour")]
    public async Task Search_InvalidParameter_Returns400WithItsName(string query, string field)
    {
        var error = await _gateway.Admin.GetJsonAsync("/admin/v1/audit?" + query, HttpStatusCode.BadRequest);
        Assert.Equal(("invalid_parameter", "/" + field), (error.GetProperty("code").GetString(), error.GetProperty("errors")[0].GetProperty("pointer").GetString()));
    }

    private async Task CallAsync(string path, string body, HttpStatusCode status = HttpStatusCode.OK)
    {
        using var response = await _gateway.Client.PostJsonAsync(path, body, completion: HttpCompletionOption.ResponseContentRead);
        Assert.True(status == response.StatusCode, await response.Content.ReadAsStringAsync(Cancel));
    }

    private async Task<string[]> EndpointsAsync(string query)
    {
        var page = await _gateway.Admin.GetJsonAsync("/admin/v1/audit?limit=100&" + query);
        return [.. page.GetProperty("data").EnumerateArray().Select(record => record.GetProperty("endpoint").GetString()!).Order(StringComparer.Ordinal)];
    }
}
