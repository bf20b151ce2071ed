using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Processes;
using Fairlead.Tests.Common;
using Npgsql;

namespace Fairlead.FunctionalTests.Storage;

/// <summary>The real program on PostgreSQL: one node, two nodes, and a database server that is unavailable for a while.</summary>
public sealed class PostgresProgramTests : IDisposable
{
    private const string Call = """{"model":"sim-fast","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}""";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-postgres-program").FullName;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task TwoNodes_SameDatabase_ShareKeysAuditAndUsage()
    {
        var database = TestPostgres.CreateDatabase();
        await using var a = await ServeAsync("a", Address(database));
        var key = await a.ClientKeyAsync();
        await using var b = await ServeAsync("b", database);

        using (var answer = await ProcessCalls.PostAsync(b, key, Call)) Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        using (var answer = await ProcessCalls.PostAsync(a, key, Call)) Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        foreach (var server in (ServerProcess[])[a, b])
        {
            var records = await AuditSight.RecordsWhenAsync(server, records => records.Count == 2);
            Assert.Equal(2, records.Select(record => record.GetProperty("node").GetString()).Distinct().Count());
            Assert.Equal(2, records.Select(record => record.GetProperty("id").GetString()).Distinct().Count());
            Assert.Equal(2, (await AuditSight.AdminAsync(server, "/admin/v1/usage")).GetProperty("totals").GetProperty("requests").GetInt64());
        }

        // A key made and revoked on one node is known and gone on the other.
        var project = (await AuditSight.AdminAsync(a, "/admin/v1/projects")).GetProperty("data")[0].GetProperty("id").GetString();
        var made = await PostAdminAsync(a, "/admin/v1/keys", $$"""{"name":"k","project_id":"{{project}}"}""");
        var (id, secret) = (made.GetProperty("id").GetString(), made.GetProperty("secret").GetString()!);
        await UntilAsync(async () => (await StatusAsync(b, secret)) == HttpStatusCode.OK);
        await PostAdminAsync(b, $"/admin/v1/keys/{id}/revoke", "{}");
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync(b, secret));
        await UntilAsync(async () => (await StatusAsync(a, secret)) == HttpStatusCode.Unauthorized);

        Assert.Equal((0, 0), (await a.TerminateAsync(), await b.TerminateAsync()));
        Assert.False(File.Exists(Path.Combine(a.Folder, "data", "fairlead.db")));
        AssertSecret(database, a, b);
        TestPostgres.DropDatabase(database);
    }

    [Fact]
    public async Task FourNodes_StartedConcurrently_AllServe()
    {
        var database = TestPostgres.CreateDatabase();
        var servers = await Task.WhenAll(Enumerable.Range(0, 4).Select(i => ServeAsync($"n{i}", database)));
        try
        {
            foreach (var server in servers) Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("/readyz")).StatusCode);
            Assert.Single((await AuditSight.AdminAsync(servers[0], "/admin/v1/organizations")).GetProperty("data").EnumerateArray());
        }
        finally
        {
            foreach (var server in servers) await server.DisposeAsync();
        }
        TestPostgres.DropDatabase(database);
    }

    [Fact]
    public async Task Database_LateThenLostThenBack_CallsContinueWithoutLoss()
    {
        Assert.SkipWhen(PrivatePostgres.FindBinaries() is null, "PostgreSQL is not installed here (Debian: apt-get install postgresql).");
        using var postgres = PrivatePostgres.Start();
        postgres.Stop();

        // Late: the program waits for it and says so.
        await using var server = StartIn("late", postgres.ConnectionString);
        Assert.Contains("127.0.0.1", await server.LineAsync(line => line.StartsWith("Waiting up to", StringComparison.Ordinal)), StringComparison.Ordinal);
        postgres.Resume();
        await server.ListeningAsync();
        var key = await server.ClientKeyAsync();
        using (var answer = await ProcessCalls.PostAsync(server, key, Call)) Assert.Equal(HttpStatusCode.OK, answer.StatusCode);

        var project = (await AuditSight.AdminAsync(server, "/admin/v1/projects")).GetProperty("data")[0].GetProperty("id").GetString();
        var wide = (await PostAdminAsync(server, "/admin/v1/keys", $$"""{"name":"w","project_id":"{{project}}","scopes":["chat","embeddings","batches","usage:read","webhooks"]}""")).GetProperty("secret").GetString()!;

        // Lost: known keys go on, administration and readiness say what is the matter and name nothing.
        postgres.Stop();
        for (var i = 0; i < 10; i++)
        {
            using var answer = await ProcessCalls.PostAsync(server, key, Call);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
        using (var known = ClientOf(server, wide))
        using (var admin = ClientOf(server, TestGateway.AdminKey))
        {
            foreach (var (path, body) in AwayCalls.ThatGoOn)
            {
                using var answer = await AwayCalls.SendAsync(known, HttpMethod.Post, path, body);
                Assert.True(answer.StatusCode == HttpStatusCode.OK, $"{path}: {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync(Cancel)}");
            }
            foreach (var call in AwayCalls.Refused("file-x", "whk_x", "gen_x", "key_x", "proj_x"))
                await AwayCalls.AssertRefusedAsync(call.Path.StartsWith("/admin", StringComparison.Ordinal) ? admin : known, call);
            foreach (var path in (string[])["/v2/generations", "/v2/generations/gen_x", "/v1/files", "/v1/batches", "/v2/webhooks", "/v1/responses/resp_x", "/v2/usage"])
                await AwayCalls.AssertRefusedAsync(known, new AwayCall(HttpMethod.Get, path, null, []));
            await AwayCalls.AssertRefusedAsync(known, new AwayCall(HttpMethod.Post, "/v1/responses", """{"model":"sim-fast","input":"x","previous_response_id":"resp_01KB0000000000000000000000"}""", []));
        }
        // Another node might have made the key meanwhile; this one cannot know.
        await UntilAsync(async () => await StatusAsync(server, AwayCalls.UnknownKey) == HttpStatusCode.ServiceUnavailable);
        using (var unknown = ClientOf(server, AwayCalls.UnknownKey)) await AwayCalls.AssertRefusedAsync(unknown, new AwayCall(HttpMethod.Post, "/v1/chat/completions", Call, []));
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync(server, "fl_mistyped"));
        foreach (var path in (string[])["/admin/v1/keys", "/admin/v1/audit", "/admin/v1/usage", "/admin/v1/reconciliation"])
        {
            using var refused = await AdminAsync(server, HttpMethod.Get, path, null);
            var text = await refused.Content.ReadAsStringAsync(Cancel);
            Assert.True(refused.StatusCode == HttpStatusCode.ServiceUnavailable, $"{path}: {(int)refused.StatusCode} {text}");
            Assert.Equal("store_unavailable", JsonDocument.Parse(text).RootElement.GetProperty("code").GetString());
            Assert.True(refused.Headers.Contains("Retry-After"));
            foreach (var internals in (string[])["Npgsql", "postgres", "connection", new NpgsqlConnectionStringBuilder(postgres.ConnectionString).Port.ToString(null, null)]) Assert.DoesNotContain(internals, text, StringComparison.OrdinalIgnoreCase);
        }
        using (var ready = await server.GetAsync("/readyz"))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
            Assert.DoesNotContain("127.0.0.1", await ready.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        }

        // The database is available again: each spooled record arrives exactly once.
        postgres.Resume();
        var calls = 11 + AwayCalls.ThatGoOn.Count;
        var records = await WhenBackAsync(server, calls);
        Assert.Equal(calls, records.Select(record => record.GetProperty("request_id").GetString()).Distinct().Count());
        await UntilAsync(async () => (await server.GetAsync("/readyz")).StatusCode == HttpStatusCode.OK);
        await UntilAsync(async () => await StatusAsync(server, AwayCalls.UnknownKey) == HttpStatusCode.Unauthorized);
        Assert.Equal(0, await server.TerminateAsync());
        AssertSecret(postgres.ConnectionString, server);
    }

    [Fact]
    public async Task Start_DatabaseRefusesLogin_PrintsCauseWithoutPassword()
    {
        var database = TestPostgres.CreateDatabase();
        var wrong = new NpgsqlConnectionStringBuilder(database) { Password = "another secret" }.ConnectionString;
        await using var server = StartIn("refused", wrong);
        Assert.Equal(1, await server.ExitAsync());
        await server.LineAsync(line => line.Contains("refused the user or the password", StringComparison.Ordinal));
        Assert.DoesNotContain("another secret", server.Output + server.Error, StringComparison.Ordinal);
        TestPostgres.DropDatabase(database);
    }

    [Fact]
    public async Task Start_UnsupportedConnectionString_FailsWithoutShowingIt()
    {
        await using var server = StartIn("fault", "mysql://root:hidden-word@db/x");
        Assert.Equal(1, await server.ExitAsync());
        await server.LineAsync(line => line.Contains("fairlead.storage.connectionString", StringComparison.Ordinal));
        Assert.DoesNotContain("hidden-word", server.Output + server.Error, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private Task<ServerProcess> ServeAsync(string name, string database) =>
        ServerProcess.ServeAsync(Directory.CreateDirectory(Path.Combine(_folder, name)).FullName, Environment(database));

    private ServerProcess StartIn(string name, string database) =>
        ServerProcess.Start(Directory.CreateDirectory(Path.Combine(_folder, name)).FullName, ["--urls", "http://127.0.0.1:0"], Environment(database));

    // At the level at which most is logged.
    private static (string, string)[] Environment(string database) =>
        [("FAIRLEAD_ADMIN_KEY", TestGateway.AdminKey), ("Fairlead__Storage__ConnectionString", database), ("FAIRLEAD_LOG_LEVEL", "Debug")];

    /// <summary>The same as an address.</summary>
    private static string Address(string database)
    {
        var keywords = new NpgsqlConnectionStringBuilder(database);
        return $"postgres://{keywords.Username}:{Uri.EscapeDataString(keywords.Password!)}@{keywords.Host}:{keywords.Port}/{keywords.Database}";
    }

    private static void AssertSecret(string database, params ServerProcess[] servers)
    {
        var password = new NpgsqlConnectionStringBuilder(database).Password!;
        foreach (var server in servers)
        {
            Assert.DoesNotContain(password, server.Output + server.Error, StringComparison.Ordinal);
            Assert.DoesNotContain(Uri.EscapeDataString(password), server.Output + server.Error, StringComparison.Ordinal);
        }
    }

    private static HttpClient ClientOf(ServerProcess server, string key)
    {
        var client = new HttpClient { BaseAddress = new Uri(server.Address) };
        client.DefaultRequestHeaders.Authorization = new("Bearer", key);
        return client;
    }

    private static async Task<HttpStatusCode> StatusAsync(ServerProcess server, string key)
    {
        using var answer = await ProcessCalls.PostAsync(server, key, Call);
        return answer.StatusCode;
    }

    private static async Task<HttpResponseMessage> AdminAsync(ServerProcess server, HttpMethod method, string path, string? body)
    {
        using var request = new HttpRequestMessage(method, server.Address + path);
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", TestGateway.AdminKey);
        if (body is not null) request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        return await server.Client.SendAsync(request, Cancel);
    }

    private static async Task<JsonElement> PostAdminAsync(ServerProcess server, string path, string body)
    {
        using var response = await AdminAsync(server, HttpMethod.Post, path, body);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, $"{path}: {(int)response.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement;
    }

    /// <summary>Waits for that many records of successful calls. Records of refused calls appear between them.</summary>
    private static async Task<List<JsonElement>> WhenBackAsync(ServerProcess server, int count)
    {
        List<JsonElement> records = [];
        await UntilAsync(async () =>
        {
            using var answer = await AdminAsync(server, HttpMethod.Get, "/admin/v1/audit?limit=100", null);
            if (answer.StatusCode != HttpStatusCode.OK) return false;
            records = [.. JsonDocument.Parse(await answer.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("data").EnumerateArray().Where(record => record.GetProperty("error_code").ValueKind == JsonValueKind.Null)];
            return records.Count >= count;
        });
        return records;
    }

    private static async Task UntilAsync(Func<Task<bool>> isSo)
    {
        var since = TimeProvider.System.GetTimestamp();
        while (!await isSo())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(since) < Patience, "It did not come to that in time.");
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
        }
    }
}
