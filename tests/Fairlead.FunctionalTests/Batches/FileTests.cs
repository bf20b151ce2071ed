using System.Net;
using System.Text;
using Fairlead.Files;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Microsoft.Extensions.DependencyInjection;
using static Fairlead.FunctionalTests.Batches.BatchCalls;

namespace Fairlead.FunctionalTests.Batches;

public sealed class SqliteFileTests() : FileTests(StorageProvider.Sqlite);

public sealed class PostgresFileTests() : FileTests(StorageProvider.Postgres);

/// <summary>Files over HTTP.</summary>
public abstract class FileTests : IAsyncLifetime
{
    private readonly StorageProvider _store;
    private TestGateway _gateway = null!;

    private protected FileTests(StorageProvider store) => _store = store;

    private HttpClient Client => _gateway.Client;

    public async ValueTask InitializeAsync() => _gateway = await TestGateway.StartAsync(_store, "fairlead: { files: { maxFileBytes: 1MiB, maxProjectBytes: 3MiB } }\n");

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Theory]
    [InlineData("../../etc/passwd", "passwd")]
    [InlineData("C:\\tides\\ropes.txt", "ropes.txt")]
    [InlineData("..", "file")]
    [InlineData("a/../.", "file")]
    [InlineData("a/", "file")]
    public async Task Upload_FilenameWithPath_KeepsOnlyFilename(string name, string shown)
    {
        using var response = await PostAsync($"--x\r\nContent-Disposition: form-data; name=purpose\r\n\r\nbatch\r\n--x\r\nContent-Disposition: form-data; name=file; filename=\"{name}\"\r\n\r\n{{}}\r\n--x--\r\n", "multipart/form-data; boundary=x");
        Assert.Equal(shown, (await JsonAsync(response)).GetProperty("filename").GetString());
    }

    [Fact]
    public async Task FileContent_MissingFromStorage_Returns404()
    {
        var id = await UploadedAsync(Client, "{}");
        await _gateway.Services.GetRequiredService<IFileContents>().DeleteAsync(id, Cancel);
        using var response = await Client.GetAsync(new Uri($"/v1/files/{id}/content", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Null(response.Content.Headers.ContentDisposition);
        Assert.Contains("\"code\":\"not_found\"", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Upload_ThenReadListAndDelete_MatchesOpenAiApi()
    {
        var content = new byte[300_000];
        Random.Shared.NextBytes(content);
        using var made = await UploadAsync(Client, content, "user_data", "tides and ropes.bin", ("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3600"));
        var file = await JsonAsync(made);
        var id = file.GetProperty("id").GetString()!;
        Assert.StartsWith("file-", id, StringComparison.Ordinal);
        Assert.Equal("file", file.GetProperty("object").GetString());
        Assert.Equal(content.Length, file.GetProperty("bytes").GetInt32());
        Assert.Equal("tides and ropes.bin", file.GetProperty("filename").GetString());
        Assert.Equal("user_data", file.GetProperty("purpose").GetString());
        Assert.Equal("processed", file.GetProperty("status").GetString());
        Assert.Equal(3600, file.GetProperty("expires_at").GetInt64() - file.GetProperty("created_at").GetInt64());

        Assert.Equal(file.ToString(), (await GetAsync(Client, $"/v1/files/{id}")).ToString());
        using var read = await Client.GetAsync(new Uri($"/v1/files/{id}/content", UriKind.Relative), Cancel);
        Assert.Equal(content, await read.Content.ReadAsByteArrayAsync(Cancel));
        Assert.Equal("attachment", read.Content.Headers.ContentDisposition!.DispositionType);
        Assert.Equal("nosniff", read.Headers.GetValues("X-Content-Type-Options").Single());

        var second = await UploadedAsync(Client, "{}");
        var list = await GetAsync(Client, "/v1/files?limit=1");
        Assert.Equal([second], list.GetProperty("data").EnumerateArray().Select(one => one.GetProperty("id").GetString()!));
        Assert.True(list.GetProperty("has_more").GetBoolean());
        list = await GetAsync(Client, $"/v1/files?after={second}&purpose=user_data&order=desc");
        Assert.Equal(id, list.GetProperty("data")[0].GetProperty("id").GetString());
        Assert.False(list.GetProperty("has_more").GetBoolean());

        using var gone = await Client.DeleteAsync(new Uri($"/v1/files/{id}", UriKind.Relative), Cancel);
        Assert.Equal($$"""{"id":"{{id}}","object":"file","deleted":true}""", (await JsonAsync(gone)).ToString());
        foreach (var path in (string[])[$"/v1/files/{id}", $"/v1/files/{id}/content"])
        {
            using var missing = await Client.GetAsync(new Uri(path, UriKind.Relative), Cancel);
            Assert.Equal(HttpStatusCode.NotFound, missing.StatusCode);
        }
    }

    [Fact]
    public async Task Files_OtherProject_AreNotVisible()
    {
        var id = await UploadedAsync(Client, "{}");
        var organization = await _gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"Other"}""");
        var project = await _gateway.Admin.PostForJsonAsync("/admin/v1/projects", $$"""{"name":"Other","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var key = await _gateway.Admin.PostForJsonAsync("/admin/v1/keys", $$"""{"name":"k","project_id":"{{project.GetProperty("id").GetString()}}"}""");
        using var other = _gateway.MakeClient(key.GetProperty("secret").GetString());
        Assert.Empty((await GetAsync(other, "/v1/files")).GetProperty("data").EnumerateArray());
        foreach (var path in (string[])[$"/v1/files/{id}", $"/v1/files/{id}/content"])
        {
            using var response = await other.GetAsync(new Uri(path, UriKind.Relative), Cancel);
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        }
        using var deleted = await other.DeleteAsync(new Uri($"/v1/files/{id}", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.NotFound, deleted.StatusCode);
        using var batch = await CreateAsync(other, id);
        Assert.Equal(HttpStatusCode.NotFound, batch.StatusCode);
        Assert.Equal(id, (await GetAsync(Client, $"/v1/files/{id}")).GetProperty("id").GetString());
    }

    [Theory]
    [InlineData("nothing", "purpose")]
    [InlineData("batch_output", "purpose")]
    public async Task Upload_UnknownPurpose_IsRefused(string purpose, string param) => await RefusedAsync(await UploadAsync(Client, "{}"u8.ToArray(), purpose), HttpStatusCode.BadRequest, param);

    [Fact]
    public async Task Upload_Invalid_IsRefusedAndLeavesNothing()
    {
        await RefusedAsync(await UploadAsync(Client, []), HttpStatusCode.BadRequest, "file");
        await RefusedAsync(await UploadAsync(Client, "{}"u8.ToArray(), more: ("expires_after[seconds]", "60")), HttpStatusCode.BadRequest, "expires_after[anchor]");
        await RefusedAsync(await UploadAsync(Client, "{}"u8.ToArray(), more: [("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "60")]), HttpStatusCode.BadRequest, "expires_after[seconds]");
        await RefusedAsync(await UploadAsync(Client, "{}"u8.ToArray(), more: ("flavour", "salt")), HttpStatusCode.BadRequest, "flavour");
        await RefusedAsync(await UploadAsync(Client, "{}"u8.ToArray(), more: ("purpose", "batch")), HttpStatusCode.BadRequest, "purpose");
        await RefusedAsync(await UploadAsync(Client, new byte[1024 * 1024 + 1]), HttpStatusCode.RequestEntityTooLarge, "file");
        await RefusedAsync(await PostAsync("{}", "application/json"), HttpStatusCode.UnsupportedMediaType, null);
        await RefusedAsync(await PostAsync("--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--x--\r\n", "multipart/form-data; boundary=x"), HttpStatusCode.BadRequest, "file");
        await RefusedAsync(await PostAsync("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhalf of", "multipart/form-data; boundary=x"), HttpStatusCode.BadRequest, null);
        await RefusedAsync(await PostAsync("--x\r\nNothing: here\r\n\r\nhm\r\n--x--\r\n", "multipart/form-data; boundary=x"), HttpStatusCode.BadRequest, null);
        await RefusedAsync(await PostAsync("--x\r\n" + new string('h', 100_000), "multipart/form-data; boundary=x"), HttpStatusCode.BadRequest, null);
        Assert.Empty((await GetAsync(Client, "/v1/files")).GetProperty("data").EnumerateArray());
        Assert.Equal(0, await ContentsAsync());
    }

    [Fact]
    public async Task Upload_AboveProjectQuota_Returns413()
    {
        for (var i = 0; i < 3; i++)
        {
            using var made = await UploadAsync(Client, new byte[1024 * 1024], "vision");
            await JsonAsync(made);
        }
        await RefusedAsync(await UploadAsync(Client, "{}"u8.ToArray()), HttpStatusCode.RequestEntityTooLarge, "file");
        var first = (await GetAsync(Client, "/v1/files?order=asc&limit=1")).GetProperty("first_id").GetString();
        using var gone = await Client.DeleteAsync(new Uri($"/v1/files/{first}", UriKind.Relative), Cancel);
        using var again = await UploadAsync(Client, "{}"u8.ToArray());
        await JsonAsync(again);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Upload_Concurrent_NeverExceedsQuota(bool isLengthKnown)
    {
        const int Length = 600_000;
        var statuses = await Task.WhenAll(Enumerable.Range(0, 20).Select(async _ =>
        {
            using var form = new MultipartFormDataContent();
            form.Add(new StringContent("vision"), "purpose");
            form.Add(isLengthKnown ? new ByteArrayContent(new byte[Length]) : new StreamContent(new UnknownLength(new byte[Length])), "file", "picture");
            try
            {
                using var response = await Client.PostAsync(new Uri("/v1/files", UriKind.Relative), form, Cancel);
                return (HttpStatusCode?)response.StatusCode;
            }
            catch (HttpRequestException)
            {
                // Refused while it was still being sent.
                return null;
            }
        }));
        var kept = statuses.Count(status => status == HttpStatusCode.OK);
        // Of those whose length is unknown, each may have taken a part that another one needed.
        Assert.InRange(kept, isLengthKnown ? 5 : 1, 5);
        Assert.All(statuses, status => Assert.True(status is null or HttpStatusCode.OK or HttpStatusCode.RequestEntityTooLarge, $"{status}"));
        Assert.Equal(kept, (await GetAsync(Client, "/v1/files")).GetProperty("data").GetArrayLength());
        var store = _gateway.Services.GetRequiredService<FileStore>();
        var project = await ProjectAsync();
        // One whose client was cut off is removed a moment after it.
        for (var i = 0; await store.BytesOfAsync(project, Cancel) != kept * Length; i++)
        {
            Assert.True(i < 400, "Room of refused uploads is still reserved.");
            await Task.Delay(TimeSpan.FromMilliseconds(25), TimeProvider.System, Cancel);
        }
        // A file each on the disk, three chunks each in the database.
        Assert.Equal(_store == StorageProvider.Sqlite ? kept : 3 * kept, await ContentsAsync());
    }

    [Fact]
    public async Task Delete_FileInUseByBatch_CountsTowardQuotaUntilBatchEnds()
    {
        // 2.9 MiB in three files, one of them held.
        var line = Line("a", new string('x', 900_000));
        var file = await UploadedAsync(Client, line);
        for (var i = 0; i < 2; i++)
        {
            using var made = await UploadAsync(Client, new byte[1024 * 1024], "vision");
            await JsonAsync(made);
        }
        var storage = _gateway.Services.GetRequiredService<IStorage>();
        await ChangeAsync(storage, "UPDATE files SET holders = 1 WHERE purpose = 'batch'");
        using (var gone = await Client.DeleteAsync(new Uri($"/v1/files/{file}", UriKind.Relative), Cancel)) await JsonAsync(gone);
        await RefusedAsync(await UploadAsync(Client, new byte[500_000], "vision"), HttpStatusCode.RequestEntityTooLarge, "file");
        await ChangeAsync(storage, "UPDATE files SET holders = 0 WHERE purpose = 'batch'");
        await _gateway.Services.GetRequiredService<FileSweeper>().SweepAsync(Cancel);
        using var again = await UploadAsync(Client, new byte[500_000], "vision");
        await JsonAsync(again);
    }

    [Fact]
    public async Task CreateBatch_ProjectOverQuota_Returns413()
    {
        var file = await UploadedAsync(Client, Line("a", "x"));
        var store = _gateway.Services.GetRequiredService<FileStore>();
        var made = new StoredFile { Id = "file-made", OrganizationId = "org_1", ProjectId = await ProjectAsync(), FileName = "made", Purpose = FilePurposes.BatchOutput, Bytes = 3 * 1024 * 1024, CreatedAt = DateTimeOffset.UnixEpoch, ExpiresAt = DateTimeOffset.UnixEpoch.AddYears(200) };
        await store.BeginAsync(made, 0, null, Cancel);
        await store.CompleteAsync(made, null, Cancel);
        await RefusedAsync(await CreateAsync(Client, file), HttpStatusCode.RequestEntityTooLarge, "input_file_id");
    }

    private async Task<string> ProjectAsync()
    {
        await using var connection = await _gateway.Services.GetRequiredService<IStorage>().OpenAsync(Cancel);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT project_id FROM files LIMIT 1";
        return (string)(await command.ExecuteScalarAsync(Cancel))!;
    }

    private static async Task ChangeAsync(IStorage storage, string sql)
    {
        await using var connection = await storage.OpenAsync(Cancel);
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // Constants of this test.
        command.CommandText = sql;
#pragma warning restore CA2100
        Assert.Equal(1, await command.ExecuteNonQueryAsync(Cancel));
    }

    private sealed class UnknownLength(byte[] content) : MemoryStream(content)
    {
        public override bool CanSeek => false;
    }

    [Theory]
    [InlineData("limit=0")]
    [InlineData("limit=10001")]
    [InlineData("order=up")]
    [InlineData("purpose=nothing")]
    [InlineData("flavour=salt")]
    public async Task List_InvalidQuery_Returns400(string query)
    {
        using var response = await Client.GetAsync(new Uri($"/v1/files?{query}", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
    }

    [Fact]
    public async Task Files_KeyWithoutScope_Returns403()
    {
        var (secret, _) = await _gateway.MakeKeyAsync("\"scopes\":[\"chat\"]");
        using var narrow = _gateway.MakeClient(secret);
        using var response = await narrow.GetAsync(new Uri("/v1/files", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.Forbidden, response.StatusCode);
    }

    private Task<HttpResponseMessage> PostAsync(string body, string type)
    {
        var content = new ByteArrayContent(Encoding.UTF8.GetBytes(body));
        content.Headers.TryAddWithoutValidation("Content-Type", type);
        return Client.PostAsync(new Uri("/v1/files", UriKind.Relative), content, Cancel);
    }

    private static async Task RefusedAsync(HttpResponseMessage response, HttpStatusCode status, string? param)
    {
        using (response)
        {
            var text = await response.Content.ReadAsStringAsync(Cancel);
            Assert.True(response.StatusCode == status, $"{(int)response.StatusCode} {text}");
            var error = System.Text.Json.JsonDocument.Parse(text).RootElement.GetProperty("error");
            Assert.Equal(param, error.GetProperty("param").GetString());
            Assert.NotEqual("", error.GetProperty("remedy").GetString());
        }
    }

    /// <summary>Counts the stored contents, whether or not a file uses them.</summary>
    private async Task<long> ContentsAsync()
    {
        if (_store == StorageProvider.Sqlite) return Directory.GetFiles(Path.Combine(_gateway.DataDirectory, "files")).Length;
        await using var connection = await _gateway.Services.GetRequiredService<IStorage>().OpenAsync(Cancel);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT COUNT(*) FROM file_chunks";
        return (long)(await command.ExecuteScalarAsync(Cancel))!;
    }
}
