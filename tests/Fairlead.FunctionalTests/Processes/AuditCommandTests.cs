using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Microsoft.Data.Sqlite;
using Npgsql;

namespace Fairlead.FunctionalTests.Processes;

public sealed class SqliteAuditCommandTests() : AuditCommandTests(StorageProvider.Sqlite);

public sealed class PostgresAuditCommandTests() : AuditCommandTests(StorageProvider.Postgres);

/// <summary>What administrators do is in the chain, and the command proves the chain while the server runs.</summary>
public abstract class AuditCommandTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-audit").FullName;
    private readonly string? _postgres;

    private protected AuditCommandTests(StorageProvider provider) => _postgres = provider == StorageProvider.Postgres ? TestPostgres.CreateDatabase() : null;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => default;

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        if (_postgres is not null) TestPostgres.DropDatabase(_postgres);
        GC.SuppressFinalize(this);
        return default;
    }

    [Fact]
    public async Task Administration_EveryAction_IsRecordedWithBeforeAndAfterAndNoSecret()
    {
        await using var server = await ServeAsync();
        var client = await server.ClientKeyAsync();
        var organization = (string)(await SendAsync(server, "POST", "organizations", """{"name":"Acme"}"""))["id"]!;
        await SendAsync(server, "PATCH", "organizations/" + organization, """{"name":"Acme Corporation"}""");
        var project = (string)(await SendAsync(server, "POST", "projects", $$"""{"name":"Chat","organization_id":"{{organization}}"}"""))["id"]!;
        var made = await SendAsync(server, "POST", "keys", $$"""{"name":"app","project_id":"{{project}}"}""");
        var key = (string)made["id"]!;
        await SendAsync(server, "PATCH", "keys/" + key, """{"name":"application"}""");
        var rotated = await SendAsync(server, "POST", $"keys/{key}/rotate", "{}");
        await SendAsync(server, "POST", $"keys/{key}/revoke", "{}");
        await SendAsync(server, "DELETE", "keys/" + key, null);
        await SendAsync(server, "DELETE", "projects/" + project, null);
        await SendAsync(server, "DELETE", "organizations/" + organization, null);
        Assert.Equal(HttpStatusCode.Forbidden, await StatusAsync(server, client));
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync(server, "fl_nobody"));

        var records = await AuditSight.RecordsAsync(server, "admin");
        records.Reverse();
        string[] expected =
        [
            "key.create", "admin.sign_in", "organization.create", "organization.update", "project.create", "key.create", "key.update", "key.rotate", "key.revoke",
            "key.delete", "project.delete", "organization.delete", "admin.refused", "admin.refused",
        ];
        Assert.Equal(expected.Order(StringComparer.Ordinal), records.Select(Action).Order(StringComparer.Ordinal));
        var update = Assert.Single(records, record => Action(record) == "organization.update");
        Assert.Equal("Acme", update.GetProperty("before").GetProperty("name").GetString());
        Assert.Equal("Acme Corporation", update.GetProperty("after").GetProperty("name").GetString());
        Assert.Equal(organization, update.GetProperty("resource").GetProperty("id").GetString());
        Assert.Equal(("key_environment", organization), (update.GetProperty("key_id").GetString(), update.GetProperty("organization_id").GetString()));
        var change = Assert.Single(records, record => Action(record) == "key.update");
        Assert.Equal(("app", "application"), (change.GetProperty("before").GetProperty("name").GetString(), change.GetProperty("after").GetProperty("name").GetString()));
        Assert.Equal(["insufficient_scope", "invalid_api_key"], records.Where(record => Action(record) == "admin.refused").Select(record => record.GetProperty("error_code").GetString()).Order(StringComparer.Ordinal));
        var text = string.Concat(records.Select(record => record.GetRawText()));
        foreach (var secret in (string[])[(string)made["secret"]!, (string)rotated["secret"]!, client, TestGateway.AdminKey, "hash\":\"\"", "fl_nobody"])
            Assert.DoesNotContain(secret, text, StringComparison.Ordinal);
        // A change of nothing is none.
        Assert.Empty(await AuditSight.RecordsAsync(server, "generation"));
        await VerifyAsync(0, "complete");
    }

    [Fact]
    public async Task KeysCommand_WhileServerRuns_IsRecordedInItsChain()
    {
        await using var server = await ServeAsync();
        await using (var create = Start("keys", "create", "ci")) Assert.Equal(0, await create.ExitAsync());
        var records = await WhenAsync(server, records => records.Exists(record => record.GetProperty("actor").GetProperty("kind").GetString() == "command"));
        var record = Assert.Single(records, record => record.GetProperty("actor").GetProperty("kind").GetString() == "command");
        Assert.Equal(("key.create", "ci"), (Action(record), record.GetProperty("after").GetProperty("name").GetString()));
        await using (var revoke = Start("keys", "revoke", record.GetProperty("resource").GetProperty("id").GetString()!)) Assert.Equal(0, await revoke.ExitAsync());
        await WhenAsync(server, records => records.Exists(record => Action(record) == "key.revoke"));
        await VerifyAsync(0, "complete");
    }

    [Fact]
    public async Task ProvidersCommand_StoredProviderKeepsServerFromStarting_DeletesItAndIsRecorded()
    {
        await using (var server = await ServeAsync())
        {
            var made = await SendAsync(server, "POST", "providers", """{"name":"local","kind":"openai","base_url":"https://example.com/v1"}""");
            Assert.Equal("local", (string)made["name"]!);
            Assert.Equal(0, await server.TerminateAsync());
        }
        (string, string)[] named = [("Fairlead__Providers__local__Kind", "simulated")];
        await using (var refused = ServerProcess.Start(_folder, ["serve"], [.. Store(), .. named]))
        {
            Assert.NotEqual(0, await refused.ExitAsync());
            Assert.Contains("fairlead providers delete local", refused.Output + refused.Error, StringComparison.Ordinal);
        }
        await using (var list = ServerProcess.Start(_folder, ["providers", "list"], [.. Store(), .. named]))
        {
            Assert.Equal(0, await list.ExitAsync());
            Assert.Contains("\nlocal ", list.Output, StringComparison.Ordinal);
        }
        await using (var delete = ServerProcess.Start(_folder, ["providers", "delete", "local"], [.. Store(), .. named])) Assert.Equal(0, await delete.ExitAsync());
        await using (var again = Start("providers", "delete", "local")) Assert.Equal(1, await again.ExitAsync());
        await using var started = await ServeAsync(named);
        var records = await WhenAsync(started, records => records.Exists(record => Action(record) == "provider.delete"));
        var record = Assert.Single(records, record => Action(record) == "provider.delete");
        Assert.Equal(("command", "local"), (record.GetProperty("actor").GetProperty("kind").GetString(), record.GetProperty("before").GetProperty("name").GetString()));
    }

    [Fact]
    public async Task Verify_DatabaseChanged_FailsAndNamesTheRecord()
    {
        var file = Path.Combine(_folder, "checkpoints.jsonl");
        await using (var server = await ServeAsync())
        {
            var key = await server.ClientKeyAsync();
            for (var i = 0; i < 5; i++)
            {
                using var answer = await ProcessCalls.PostAsync(server, key, """{"model":"sim-fast","max_tokens":4,"messages":[{"role":"user","content":"hi"}]}""");
                Assert.True(answer.IsSuccessStatusCode);
            }
            await VerifyAsync(0, "complete");
            Assert.Equal(0, await server.TerminateAsync());
        }
        await using (var export = Start("audit", "checkpoints", "--out", file)) Assert.Equal(0, await export.ExitAsync());
        Assert.Contains("public_key", await File.ReadAllTextAsync(file, Cancel), StringComparison.Ordinal);
        await VerifyAsync(0, "complete", "--checkpoints", file);
        await VerifyAsync(0, "complete", "--from", "2026-01-01");

        await ExecuteAsync("UPDATE audit_blocks SET data = " + (_postgres is null ? "substr(data, 1, length(data) - 3) || x'000000'" : "overlay(data placing '\\x000000'::bytea from length(data) - 2)") + " WHERE first_sequence = 1");
        Assert.Contains("Record 1 ", await VerifyAsync(1, "BROKEN"), StringComparison.Ordinal);

        // Also what nobody on this machine can know any more.
        await ExecuteAsync("DELETE FROM audit_blocks; DELETE FROM audit_chains; DELETE FROM audit_checkpoints");
        foreach (var head in Directory.GetFiles(Path.Combine(_folder, "data", "spool"), "*.head")) File.Delete(head);
        await VerifyAsync(0, "no audit records");
        await VerifyAsync(1, "exported checkpoint", "--checkpoints", file);
    }

    [Fact]
    public async Task Verify_NothingToCheck_ReturnsTwo()
    {
        if (_postgres is null) await VerifyAsync(2, "no database");
        await using (var server = await ServeAsync()) Assert.Equal(0, await server.TerminateAsync());
        await VerifyAsync(2, "not a time", "--from", "yesterday");
        await File.WriteAllTextAsync(Path.Combine(_folder, "other"), "nonsense", Cancel);
        await VerifyAsync(2, "Line 1", "--checkpoints", Path.Combine(_folder, "other"));
        await VerifyAsync(2, "", "--checkpoints", Path.Combine(_folder, "nowhere"));
        await VerifyAsync(2, "", "--unknown");
        await using var key = Start("audit", "key");
        Assert.Equal(0, await key.ExitAsync());
        Assert.Contains("BEGIN PUBLIC KEY", key.Output, StringComparison.Ordinal);
    }

    /// <summary>With the strictest durability, no search has to wait: the record is in the database when the response is complete.</summary>
    [Fact]
    public async Task Durability_Database_RecordIsThereWhenTheResponseIs()
    {
        await using var server = await ServeAsync(("Fairlead__Audit__Durability", "database"));
        var key = await server.ClientKeyAsync();
        for (var i = 1; i <= 5; i++)
        {
            using var answer = await ProcessCalls.PostAsync(server, key, """{"model":"sim-fast","max_tokens":4,"messages":[{"role":"user","content":"hi"}]}""");
            await answer.Content.ReadAsStringAsync(Cancel);
            await using var connection = await OpenAsync();
            await using var copy = await StoredRecords.CopyAsync(connection, Cancel);
            Assert.Equal(i, await copy.Int64Async("SELECT COUNT(*) FROM audit_records WHERE type = 'generation'", [], Cancel));
        }
    }

    private static string Action(JsonElement record) => record.GetProperty("action").GetString()!;

    private static async Task<List<JsonElement>> WhenAsync(ServerProcess server, Func<List<JsonElement>, bool> enough)
    {
        var since = TimeProvider.System.GetTimestamp();
        while (true)
        {
            var records = await AuditSight.RecordsAsync(server, "admin");
            if (enough(records) || TimeProvider.System.GetElapsedTime(since) > TimeSpan.FromSeconds(20)) return records;
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancel);
        }
    }

    private async Task<string> VerifyAsync(int code, string expected, params string[] arguments)
    {
        await using var verify = Start(["audit", "verify", .. arguments]);
        var found = await verify.ExitAsync();
        var text = verify.Output + verify.Error;
        Assert.True(found == code && text.Contains(expected, StringComparison.Ordinal), $"{found}: {text}");
        return text;
    }

    private static async Task<JsonNode> SendAsync(ServerProcess server, string method, string path, string? body)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), server.Address + "/admin/v1/" + path);
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", TestGateway.AdminKey);
        if (body is not null) request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        using var response = await server.Client.SendAsync(request, Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, $"{method} {path}: {(int)response.StatusCode} {text}");
        return text.Length == 0 ? new JsonObject() : JsonNode.Parse(text)!;
    }

    private static async Task<HttpStatusCode> StatusAsync(ServerProcess server, string key)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, server.Address + "/admin/v1/keys");
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        using var response = await server.Client.SendAsync(request, Cancel);
        return response.StatusCode;
    }

    private async Task<System.Data.Common.DbConnection> OpenAsync()
    {
        System.Data.Common.DbConnection connection = _postgres is null
            ? new SqliteConnection($"Data Source={Path.Combine(_folder, "data", "fairlead.db")};Pooling=False")
            : new NpgsqlConnection(_postgres + ";Pooling=false");
        await connection.OpenAsync(Cancel);
        return connection;
    }

    private async Task ExecuteAsync(string sql)
    {
        await using var connection = await OpenAsync();
        await connection.ExecuteAsync(sql, [], Cancel);
    }

    private ServerProcess Start(params string[] arguments) => ServerProcess.Start(_folder, arguments, Store());

    private Task<ServerProcess> ServeAsync(params (string, string)[] more) =>
        ServerProcess.ServeAsync(_folder, [("FAIRLEAD_ADMIN_KEY", TestGateway.AdminKey), .. Store(), .. more]);

    private (string, string)[] Store() => _postgres is null ? [] : [("Fairlead__Storage__ConnectionString", _postgres)];
}
