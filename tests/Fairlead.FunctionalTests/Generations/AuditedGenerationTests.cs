using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Generations;

public sealed class SqliteAuditedGenerationTests() : AuditedGenerationTests(StorageProvider.Sqlite);

public sealed class PostgresAuditedGenerationTests() : AuditedGenerationTests(StorageProvider.Postgres);

/// <summary>Every call of a project can be looked up, whether or not its content is stored.</summary>
public abstract class AuditedGenerationTests : IAsyncLifetime
{
    private const string Messages = "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]";

    private readonly StorageProvider _store;
    private TestGateway _gateway = null!;

    private protected AuditedGenerationTests(StorageProvider store) => _store = store;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _gateway = await TestGateway.StartAsync(_store);

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Theory]
    [InlineData("/v1/chat/completions", "{\"model\":\"sim-fast\"," + Messages + ",\"metadata\":{\"a\":\"b\"}}", "openai.chat")]
    [InlineData("/v1/chat/completions", "{\"model\":\"sim-fast\",\"stream\":true," + Messages + ",\"metadata\":{\"a\":\"b\"}}", "openai.chat")]
    [InlineData("/v1/completions", """{"model":"sim-fast","prompt":"hi"}""", "openai.completions")]
    [InlineData("/v1/embeddings", """{"model":"sim-embed","input":"hi"}""", "openai.embeddings")]
    [InlineData("/v1/messages", "{\"model\":\"sim-fast\",\"max_tokens\":9," + Messages + "}", "anthropic.messages")]
    [InlineData("/v1/responses", """{"model":"sim-fast","input":"hi","store":false,"metadata":{"a":"b"}}""", "openai.responses")]
    [InlineData("/v2/generations", """{"model":"sim-fast","input":"hi","delivery":{"mode":"sync"},"metadata":{"a":"b"}}""", "fairlead")]
    [InlineData("/v2/generations", """{"model":"sim-fast","input":"hi"}""", "fairlead")]
    public async Task Get_CallThatIsNotStored_ShowsItsRecordAtOnce(string path, string body, string dialect)
    {
        var id = await CallAsync(path, body);
        var generation = await _gateway.Client.GetJsonAsync("/v2/generations/" + id);
        Assert.Equal((id, "generation", dialect), (Text(generation, "id"), Text(generation, "object"), Text(generation, "dialect")));
        Assert.Contains(Text(generation, "status"), (string[])["completed", "incomplete"]);
        Assert.False(generation.GetProperty("content_stored").GetBoolean());
        Assert.Equal(JsonValueKind.Null, generation.GetProperty("output").ValueKind);
        Assert.Equal(JsonValueKind.Null, generation.GetProperty("error").ValueKind);
        Assert.True(generation.GetProperty("usage").GetProperty("input_tokens").GetInt64() > 0);
        Assert.True(generation.GetProperty("cost").GetProperty("usd").GetDecimal() >= 0);
        Assert.Single(generation.GetProperty("attempts").EnumerateArray());
        Assert.True(generation.GetProperty("completed_at").GetDateTimeOffset() >= generation.GetProperty("created_at").GetDateTimeOffset());
        Assert.Equal(body.Contains("metadata", StringComparison.Ordinal) ? "b" : null, generation.GetProperty("metadata").TryGetProperty("a", out var value) ? value.GetString() : null);
        foreach (var child in (string[])["result", "events"])
        {
            var error = await _gateway.Client.GetJsonAsync($"/v2/generations/{id}/{child}", HttpStatusCode.Gone);
            Assert.Equal("result_expired", Text(error, "code"));
        }
        // Nothing is left to cancel, and foreign dialects do not know it.
        Assert.Equal(id, Text(await _gateway.Client.PostForJsonAsync($"/v2/generations/{id}/cancel", "{}"), "id"));
        using var foreign = await _gateway.Client.GetAsync(new Uri("/v1/responses/resp_" + id[4..], UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.NotFound, foreign.StatusCode);
    }

    [Fact]
    public async Task Get_StoredAndListed_SayThatContentIsStored()
    {
        var job = await _gateway.Client.PostForJsonAsync("/v2/generations", """{"model":"sim-fast","input":"hi","delivery":{"mode":"job"}}""");
        var generation = await _gateway.Client.GetJsonAsync($"/v2/generations/{Text(job, "id")}?wait=60");
        Assert.True(generation.GetProperty("content_stored").GetBoolean());
        Assert.NotEqual(JsonValueKind.Null, generation.GetProperty("output").ValueKind);
        Assert.All((await _gateway.Client.GetJsonAsync("/v2/generations")).GetProperty("data").EnumerateArray(), listed => Assert.True(listed.GetProperty("content_stored").GetBoolean()));
    }

    [Fact]
    public async Task Get_FailedCall_ShowsWhy()
    {
        var id = await CallAsync("/v1/chat/completions", "{\"model\":\"nothing\"," + Messages + "}");
        var generation = await _gateway.Client.GetJsonAsync("/v2/generations/" + id);
        Assert.Equal(("failed", "failed"), (Text(generation, "status"), Text(generation, "outcome")));
        Assert.Equal("model_not_found", Text(generation.GetProperty("error"), "code"));
        Assert.Empty(generation.GetProperty("attempts").EnumerateArray());
    }

    [Fact]
    public async Task Get_DatabaseThatCannotBeWritten_ReturnsStoreUnavailableUntilItKnows()
    {
        string id;
        await using (await _gateway.BlockWritesAsync())
        {
            id = await CallAsync("/v1/chat/completions", "{\"model\":\"sim-fast\"," + Messages + "}");
            var error = await _gateway.Client.GetJsonAsync("/v2/generations/" + id, HttpStatusCode.ServiceUnavailable);
            Assert.Equal("store_unavailable", Text(error, "code"));
            Assert.True(error.GetProperty("retryable").GetBoolean());
        }
        Assert.Equal(id, Text(await _gateway.Client.GetJsonAsync("/v2/generations/" + id), "id"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("/result")]
    [InlineData("/events")]
    public async Task Get_OtherProjectOrUnknownId_Returns404(string child)
    {
        var id = await CallAsync("/v1/chat/completions", "{\"model\":\"sim-fast\"," + Messages + "}");
        var project = await _gateway.Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"Other","organization_id":"{{await OrganizationAsync()}}"}""", HttpStatusCode.Created);
        var key = await _gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"other","project_id":"{{Text(project, "id")}}"}""", HttpStatusCode.Created);
        using var other = _gateway.MakeClient(Text(key, "secret"));
        Assert.Equal("not_found", Text(await other.GetJsonAsync($"/v2/generations/{id}{child}", HttpStatusCode.NotFound), "code"));
        foreach (var unknown in (string[])["gen_01AAAAAAAAAAAAAAAAAAAAAAAA", "gen_ZZZZZZZZZZZZZZZZZZZZZZZZZZ", "gen_x", "resp_" + id[4..]])
            Assert.Equal("not_found", Text(await _gateway.Client.GetJsonAsync($"/v2/generations/{unknown}{child}", HttpStatusCode.NotFound), "code"));
    }

    private async Task<string> OrganizationAsync() => Text((await _gateway.Admin.GetJsonAsync("/admin/v1/projects/" + _gateway.ProjectId)), "organization_id");

    private async Task<string> CallAsync(string path, string body)
    {
        using var response = await _gateway.Client.PostJsonAsync(path, body, completion: HttpCompletionOption.ResponseContentRead);
        await response.Content.ReadAsStringAsync(Cancel);
        return response.Headers.GetValues("Fairlead-Generation").Single();
    }

    private static string Text(JsonElement json, string name) => json.GetProperty(name).GetString()!;
}

/// <summary>A call of one node is found on another within two seconds.</summary>
public sealed class AuditedGenerationNodesTests
{
    [Fact]
    public async Task Get_CallOfAnotherNode_IsFoundWithinTwoSeconds()
    {
        var database = TestPostgres.CreateDatabase();
        try
        {
            await using var first = await TestGateway.StartOnAsync(database);
            await using var second = await TestGateway.StartOnAsync(database);
            using var client = second.MakeClient(first.Key);
            using var response = await first.Client.PostJsonAsync("/v1/chat/completions", """{"model":"sim-fast","messages":[{"role":"user","content":"hi"}]}""", completion: HttpCompletionOption.ResponseContentRead);
            var id = response.Headers.GetValues("Fairlead-Generation").Single();
            var since = TimeProvider.System.GetTimestamp();
            while (true)
            {
                using var found = await client.GetAsync(new Uri("/v2/generations/" + id, UriKind.Relative), TestContext.Current.CancellationToken);
                if (found.StatusCode == HttpStatusCode.OK) break;
                Assert.Equal(HttpStatusCode.NotFound, found.StatusCode);
                Assert.True(TimeProvider.System.GetElapsedTime(since) < TimeSpan.FromSeconds(2));
            }
        }
        finally
        {
            TestPostgres.DropDatabase(database);
        }
    }
}
