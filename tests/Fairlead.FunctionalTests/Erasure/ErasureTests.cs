using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Batches;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Erasure;

public sealed class SqliteErasureTests() : ErasureTests(StorageProvider.Sqlite);

public sealed class PostgresErasureTests() : ErasureTests(StorageProvider.Postgres);

/// <summary>What is erased is in no store any more, in no byte of the data folder; what others have left is still there.</summary>
public abstract class ErasureTests : IAsyncLifetime
{
    private const string Gone = "zq7erasedtextzq";

    private const string Kept = "zq7neighbourtextzq";

    private readonly StorageProvider _provider;
    private ErasureWorld _world = null!;

    private protected ErasureTests(StorageProvider provider) => _provider = provider;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private TestGateway Gateway => _world.Gateway;

    public async ValueTask InitializeAsync() => _world = await ErasureWorld.StartAsync(_provider);

    public async ValueTask DisposeAsync()
    {
        await _world.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Erase_EndUser_LeavesNothingOfThemAndAllOfOthers()
    {
        var generations = await _world.LeaveAsync(Gateway.Client, "ada-zq7@example.org", Gone, labels: false);
        var others = await _world.LeaveAsync(Gateway.Client, "eve", Kept);
        // One file with lines of both.
        var file = await BatchCalls.UploadedAsync(Gateway.Client,
            BatchCalls.Line("a" + Gone, Gone + " shared", more: ""","user":"ada-zq7@example.org" """), BatchCalls.Line("b" + Kept, Kept + " shared", more: ""","user":"eve" """));
        var batch = await BatchCalls.EndedAsync(Gateway.Client, await BatchCalls.CreatedAsync(Gateway.Client, file));
        Assert.NotEmpty(await _world.FindAsync(Gone));
        var cost = await CostAsync();

        var erasure = await _world.EraseAsync($$"""{"end_user":"ada-zq7@example.org","project_id":"{{Gateway.ProjectId}}","reason":"Article 17, case 81"}""");
        var counts = erasure.GetProperty("counts");
        Assert.Equal(6, counts.GetProperty("audit").GetInt32());
        Assert.Equal(2, counts.GetProperty("responses").GetInt32());
        Assert.Equal(2, counts.GetProperty("batches").GetInt32());
        Assert.Equal(1, counts.GetProperty("idempotency_keys").GetInt32());
        Assert.Equal(1, counts.GetProperty("webhook_deliveries").GetInt32());
        Assert.True(counts.GetProperty("cache").GetInt32() >= 1);
        Assert.True(counts.GetProperty("jobs").GetInt32() >= 1);

        await AssertGoneAsync(Gone);
        await AssertGoneAsync("ada-zq7");
        Assert.DoesNotContain("ada-zq7@example.org", erasure.GetRawText(), StringComparison.Ordinal);
        await AssertKeptAsync(others);
        Assert.Equal(cost, await CostAsync());
        // The shared file has the line of the other, and its counts are as before.
        var after = await BatchCalls.GetAsync(Gateway.Client, "/v1/batches/" + batch.GetProperty("id").GetString());
        Assert.Equal(batch.GetProperty("request_counts").GetRawText(), after.GetProperty("request_counts").GetRawText());
        var lines = (await Gateway.Client.GetStringAsync(new Uri($"/v1/files/{after.GetProperty("output_file_id").GetString()}/content", UriKind.Relative), Cancel)).TrimEnd('\n').Split('\n');
        Assert.Equal(2, lines.Length);
        Assert.Equal("erased", JsonDocument.Parse(lines[0]).RootElement.GetProperty("error").GetProperty("code").GetString());
        Assert.Contains(Kept, lines[1], StringComparison.Ordinal);
        foreach (var generation in generations)
        {
            foreach (var path in (string[])["", "/result", "/events"])
            {
                var error = await Gateway.Client.GetJsonAsync($"/v2/generations/{generation}{path}", HttpStatusCode.Gone);
                Assert.Equal("result_expired", error.GetProperty("code").GetString());
                Assert.Contains("erased", error.GetProperty("detail").GetString(), StringComparison.Ordinal);
            }
        }
        await AssertRepeatedFindsNothingAsync($$"""{"end_user":"ada-zq7@example.org","project_id":"{{Gateway.ProjectId}}"}""");
        await AssertRecordedAsync(erasure, "ada-zq7@example.org");
    }

    [Fact]
    public async Task Erase_Key_LeavesNothingOfIt()
    {
        var (secret, id) = await Gateway.MakeKeyAsync("\"scopes\":[\"chat\",\"batches\"]");
        using var client = Gateway.MakeClient(secret);
        await _world.LeaveAsync(client, "ada", Gone);
        var others = await _world.LeaveAsync(Gateway.Client, "ada", Kept);
        await _world.EraseAsync($$"""{"key_id":"{{id}}"}""");
        await AssertGoneAsync();
        await AssertKeptAsync(others);
        await AssertRepeatedFindsNothingAsync($$"""{"key_id":"{{id}}"}""");
    }

    [Fact]
    public async Task Erase_Project_LeavesNothingOfIt()
    {
        var (project, client) = await NewProjectAsync();
        using (client)
        {
            await _world.LeaveAsync(client, "ada", Gone);
            await BatchCalls.UploadedAsync(client, "{\"" + Gone + "\":1}");
            var others = await _world.LeaveAsync(Gateway.Client, "ada", Kept);
            await _world.EraseAsync($$"""{"project_id":"{{project}}"}""");
            await AssertGoneAsync();
            await AssertKeptAsync(others);
            await AssertRepeatedFindsNothingAsync($$"""{"project_id":"{{project}}"}""");
        }
    }

    [Fact]
    public async Task Erase_Generations_LeavesNothingOfThem()
    {
        var generations = await _world.LeaveAsync(Gateway.Client, "ada", Gone, batch: false);
        var others = await _world.LeaveAsync(Gateway.Client, "ada", Kept, batch: false);
        foreach (var generation in generations) await _world.EraseAsync($$"""{"generation_id":"{{generation}}"}""");
        await AssertGoneAsync();
        await AssertKeptAsync(others);
        await AssertRepeatedFindsNothingAsync($$"""{"generation_id":"{{generations[0]}}"}""");
    }

    /// <summary>The record stays with its figures; the content goes.</summary>
    [Fact]
    public async Task Erase_ContentOnly_KeepsTheRecords()
    {
        var id = await ErasureWorld.JobAsync(Gateway.Client, "ada", Gone);
        await Gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60");
        await _world.EraseAsync($$"""{"generation_id":"{{id}}","what":"content"}""");
        await AssertGoneAsync();
        Assert.False((await Gateway.Client.GetJsonAsync("/v2/generations/" + id)).GetProperty("content_stored").GetBoolean());
        Assert.Contains("erased", (await Gateway.Client.GetJsonAsync($"/v2/generations/{id}/result", HttpStatusCode.Gone)).GetProperty("detail").GetString(), StringComparison.Ordinal);
    }

    /// <summary>A call that runs during the erasure is erased when it has ended; a job is cancelled.</summary>
    [Fact]
    public async Task Erase_CallsInFlight_ErasesThemWhenTheyEnd()
    {
        var (secret, key) = await Gateway.MakeKeyAsync("\"scopes\":[\"chat\",\"batches\"]");
        using var client = Gateway.MakeClient(secret);
        var (arrived, go) = (new SemaphoreSlim(0), new TaskCompletionSource());
        var answer = _world.Upstream.Answer;
        _world.Upstream.Answer = async context =>
        {
            arrived.Release();
            await go.Task;
            await answer(context);
        };
        var call = client.PostForJsonAsync("/v1/responses", $$"""{"model":"m","user":"ada","input":"{{Gone}}","store":true}""");
        await arrived.WaitAsync(Cancel);
        var job = await ErasureWorld.JobAsync(client, "ada", Gone + " job");
        await arrived.WaitAsync(Cancel);

        var erasure = await _world.EraseAsync($$"""{"key_id":"{{key}}"}""");
        Assert.Equal(HttpStatusCode.Gone, await StatusAsync(client, "/v2/generations/" + job));
        go.SetResult();
        var response = await call;
        while (await StatusAsync(client, "/v1/responses/" + response.GetProperty("id").GetString()) != HttpStatusCode.NotFound)
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Cancel);
        await _world.CompletedAsync(erasure.GetProperty("id").GetString()!);
        await AssertGoneAsync();
        arrived.Dispose();
    }

    [Theory]
    [InlineData("{}", "/project_id")]
    [InlineData("""{"key_id":"key_1","generation_id":"gen_01KB0000000000000000000000"}""", "/key_id")]
    [InlineData("""{"generation_id":"resp_1"}""", "/generation_id")]
    [InlineData("""{"end_user":"ada"}""", "/organization_id")]
    [InlineData("""{"end_user":"","project_id":"proj_1"}""", "/end_user")]
    [InlineData("""{"end_user":"ada","project_id":"proj_1","organization_id":"org_1"}""", "/organization_id")]
    [InlineData("""{"key_id":"key_1","organization_id":"org_1"}""", "/organization_id")]
    [InlineData("""{"key_id":"key_1","what":"some"}""", "/what")]
    [InlineData("""{"end_user":"ada","project_id":"proj_1","reason":"Ada asked"}""", "/reason")]
    [InlineData("""{"key_id":"key_oidc_corp_ada.l","reason":"Ada.L asked"}""", "/reason")]
    [InlineData("""{"key_id":7}""", "/key_id")]
    [InlineData("""{"key_id":"key_1","user":"ada"}""", "/user")]
    public async Task Create_InvalidField_Returns400WithThePointer(string body, string pointer)
    {
        var error = await Gateway.Admin.PostForJsonAsync("/admin/v1/erasures", body, HttpStatusCode.BadRequest);
        Assert.Contains(error.GetProperty("errors").EnumerateArray(), fault => fault.GetProperty("pointer").GetString() == pointer);
    }

    /// <summary>A token is known in all organizations to which its issuer gives access. One of them may not erase for the others.</summary>
    [Fact]
    public async Task Erase_TokenKeyByOrganizationAdmin_KeepsTheCallsOfOtherOrganizations()
    {
        const string Token = "key_oidc_corp_ada";
        var (project, client) = await NewProjectAsync();
        using (client)
        {
            await _world.LeaveAsync(client, "ada", Gone);
            var others = await _world.LeaveAsync(Gateway.Client, "ada", Kept);
            var role = await Gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"a","project_id":"{{project}}","role":"organization_admin"}""");
            using var admin = Gateway.MakeClient(role.GetProperty("secret").GetString());
            // What the stores have of both is as if one token had made all the calls.
            await using (var connection = await Gateway.Services.GetRequiredService<IStorage>().OpenAsync(Cancel))
            {
                foreach (var table in (string[])["generations", "batches", "stored_responses"])
                    await Gateway.Services.GetRequiredService<IStorage>().WriteAsync(connection, $"UPDATE {table} SET key_id = '{Token}'", [], Cancel);
            }
            var erasure = await _world.EraseAsync($$"""{"key_id":"{{Token}}"}""", admin);
            Assert.DoesNotContain("ada", erasure.GetRawText(), StringComparison.Ordinal);
            Assert.True(erasure.GetProperty("counts").GetProperty("batches").GetInt32() > 0);
            Assert.True(erasure.GetProperty("counts").GetProperty("responses").GetInt32() > 0);
            await AssertKeptAsync(others);
            var batches = (await Gateway.Client.GetJsonAsync("/v1/batches")).GetProperty("data").EnumerateArray();
            Assert.All(batches, batch => Assert.NotEqual(JsonValueKind.Null, batch.GetProperty("metadata").ValueKind));
        }
    }

    [Fact]
    public async Task Erase_GenerationThatIsNowhere_SaysSo()
    {
        var erasure = await _world.EraseAsync("""{"generation_id":"gen_01KB0000000000000000000000"}""");
        Assert.Equal("generation_not_found", erasure.GetProperty("error").GetString());
    }

    private async Task AssertGoneAsync(string text = Gone)
    {
        // Records that were still on their way, and the files of the spool that had them.
        List<string> places = [];
        for (var tries = 0; tries < 300; tries++)
        {
            places = await _world.FindAsync(text);
            if (places.Count == 0) return;
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
        }
        Assert.Fail("Still found in " + string.Join(", ", places));
    }

    private async Task AssertKeptAsync(IEnumerable<string> generations)
    {
        Assert.Contains("audit", await _world.FindAsync(Kept));
        foreach (var generation in generations) Assert.Equal(HttpStatusCode.OK, await StatusAsync(Gateway.Client, "/v2/generations/" + generation));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(Gateway.Client, "/v1/responses/resp_" + generations.ElementAt(2)["gen_".Length..]));
        Assert.Contains(Kept, await Gateway.Client.GetStringAsync(new Uri($"/v2/generations/{generations.ElementAt(3)}/result", UriKind.Relative), Cancel), StringComparison.Ordinal);
    }

    private async Task AssertRepeatedFindsNothingAsync(string selector)
    {
        var counts = (await _world.EraseAsync(selector)).GetProperty("counts");
        Assert.All(counts.EnumerateObject(), count => Assert.True(count.Value.GetInt64() == 0, counts.GetRawText()));
    }

    private async Task AssertRecordedAsync(JsonElement erasure, string user)
    {
        var records = await Gateway.Admin.GetJsonAsync("/admin/v1/audit?type=admin&limit=100");
        var record = Assert.Single(records.GetProperty("data").EnumerateArray(), one => one.GetProperty("resource") is { ValueKind: JsonValueKind.Object } resource && resource.GetProperty("id").GetString() == erasure.GetProperty("id").GetString());
        Assert.Equal("erasure.create", record.GetProperty("action").GetString());
        Assert.Contains("Article 17", record.GetRawText(), StringComparison.Ordinal);
        Assert.DoesNotContain(user, records.GetRawText(), StringComparison.Ordinal);
        var listed = await Gateway.Admin.GetJsonAsync("/admin/v1/erasures?status=completed");
        Assert.Contains(listed.GetProperty("data").EnumerateArray(), one => one.GetProperty("id").GetString() == erasure.GetProperty("id").GetString());
    }

    private async Task<string> CostAsync() =>
        (await Gateway.Admin.GetJsonAsync("/admin/v1/usage?group_by=key")).GetProperty("totals").GetRawText();

    private async Task<(string Project, HttpClient Client)> NewProjectAsync()
    {
        var organization = (await Gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"Acme"}""")).GetProperty("id").GetString();
        var project = (await Gateway.Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"P","organization_id":"{{organization}}"}""")).GetProperty("id").GetString()!;
        var key = await Gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}","scopes":["chat","batches"]}""");
        return (project, Gateway.MakeClient(key.GetProperty("secret").GetString()));
    }

    private static async Task<HttpStatusCode> StatusAsync(HttpClient client, string path)
    {
        using var response = await client.GetAsync(new Uri(path, UriKind.Relative), Cancel);
        return response.StatusCode;
    }
}
