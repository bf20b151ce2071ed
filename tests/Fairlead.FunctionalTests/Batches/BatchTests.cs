using System.Net;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Files;
using Fairlead.FunctionalTests.Common;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using static Fairlead.FunctionalTests.Batches.BatchCalls;

namespace Fairlead.FunctionalTests.Batches;

public sealed class SqliteBatchTests() : BatchTests(StorageProvider.Sqlite);

public sealed class PostgresBatchTests() : BatchTests(StorageProvider.Postgres);

/// <summary>Batches over HTTP. The tests script the responses of the model server.</summary>
public abstract class BatchTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private readonly StorageProvider _store;
    private TestGateway _gateway = null!;

    private protected BatchTests(StorageProvider store) => _store = store;

    private HttpClient Client => _gateway.Client;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.Answer = EchoAsync;
        _gateway = await TestGateway.StartAsync(_store, _upstream.Yaml() + """

              jobs: { backoff: 1ms, maxRuns: 2 }
              retry: { maxRetries: 0 }
            """);
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Batch_SeveralLines_CompletesWithResponsePerLine()
    {
        var file = await UploadedAsync(Client, Line("a", "one"), "", Line("b", "two"), Line("c", "three"));
        using var response = await CreateAsync(Client, file, more: ""","metadata":{"run":"7"}""");
        var made = await JsonAsync(response);
        Assert.Equal("batch", made.GetProperty("object").GetString());
        Assert.Equal("validating", made.GetProperty("status").GetString());
        Assert.Equal(file, made.GetProperty("input_file_id").GetString());
        Assert.Equal("24h", made.GetProperty("completion_window").GetString());
        Assert.Equal(24 * 3600, made.GetProperty("expires_at").GetInt64() - made.GetProperty("created_at").GetInt64());

        var done = await EndedAsync(Client, made.GetProperty("id").GetString()!);
        Assert.Equal("completed", done.GetProperty("status").GetString());
        Assert.Equal("""{"total":3,"completed":3,"failed":0}""", done.GetProperty("request_counts").ToString());
        Assert.Equal("m", done.GetProperty("model").GetString());
        Assert.Equal("""{"run":"7"}""", done.GetProperty("metadata").ToString());
        Assert.Equal(33, done.GetProperty("usage").GetProperty("input_tokens").GetInt64());
        Assert.Equal(12, done.GetProperty("usage").GetProperty("input_tokens_details").GetProperty("cached_tokens").GetInt64());
        Assert.Equal(42, done.GetProperty("usage").GetProperty("total_tokens").GetInt64());
        Assert.Equal(JsonValueKind.Null, done.GetProperty("error_file_id").ValueKind);
        foreach (var time in (string[])["in_progress_at", "finalizing_at", "completed_at"]) Assert.Equal(JsonValueKind.Number, done.GetProperty(time).ValueKind);

        var answers = await LinesAsync(Client, done, "output_file_id");
        Assert.Equal(["a", "b", "c"], answers.Keys.Order());
        var answer = answers["b"];
        Assert.StartsWith("batch_req_", answer.GetProperty("id").GetString(), StringComparison.Ordinal);
        Assert.Equal(JsonValueKind.Null, answer.GetProperty("error").ValueKind);
        Assert.Equal(200, answer.GetProperty("response").GetProperty("status_code").GetInt32());
        Assert.StartsWith("req_", answer.GetProperty("response").GetProperty("request_id").GetString(), StringComparison.Ordinal);
        Assert.Equal("two", Text(answer));
        Assert.Equal(3, _upstream.Received.Count);
        await BalancedAsync();

        var output = await GetAsync(Client, $"/v1/files/{done.GetProperty("output_file_id").GetString()}");
        Assert.Equal("batch_output", output.GetProperty("purpose").GetString());
        // The list has every call of the project, so each line too, and each once.
        var listed = (await GetAsync(Client, "/v2/generations")).GetProperty("data").EnumerateArray().Select(line => line.GetProperty("id").GetString()).ToList();
        Assert.Equal(3, listed.Count);
        Assert.Equal(3, listed.Distinct().Count());
        Assert.Equal(done.ToString(), (await GetAsync(Client, "/v1/batches?limit=1")).GetProperty("data")[0].ToString());
    }

    [Fact]
    public async Task Batch_FailedLines_AreInErrorFile()
    {
        _upstream.Answer = context => Asked(context) switch
        {
            "refused" => FakeUpstream.Json(context, """{"error":{"message":"no","type":"invalid_request_error"}}""", 400),
            "broken" => FakeUpstream.Json(context, """{"error":{"message":"down"}}""", 500),
            _ => EchoAsync(context),
        };
        var file = await UploadedAsync(Client, Line("good", "good"), Line("refused", "refused"), Line("broken", "broken"), Line("stream", "x", more: ",\"stream\":true"),
            Line("hook", "x", more: ""","fairlead":{"webhook":{"url":"https://example.com"}}"""), Line("wrong", "x", more: ",\"temperature\":9"));
        var done = await EndedAsync(Client, await CreatedAsync(Client, file));
        Assert.Equal("completed", done.GetProperty("status").GetString());
        Assert.Equal("""{"total":6,"completed":1,"failed":5}""", done.GetProperty("request_counts").ToString());
        Assert.Equal(["good"], (await LinesAsync(Client, done, "output_file_id")).Keys);
        var errors = await LinesAsync(Client, done, "error_file_id");
        Assert.Equal(["broken", "hook", "refused", "stream", "wrong"], errors.Keys.Order());
        Assert.Equal(502, errors["broken"].GetProperty("response").GetProperty("status_code").GetInt32());
        Assert.Equal("stream", errors["stream"].GetProperty("response").GetProperty("body").GetProperty("error").GetProperty("param").GetString());
        Assert.Equal("fairlead.webhook.url", errors["hook"].GetProperty("response").GetProperty("body").GetProperty("error").GetProperty("param").GetString());
        Assert.Equal("temperature", errors["wrong"].GetProperty("response").GetProperty("body").GetProperty("error").GetProperty("param").GetString());
        // What may pass is tried again, as every job is.
        Assert.Equal(2, _upstream.Received.Count(body => body.GetProperty("messages")[0].GetProperty("content").GetString() == "broken"));
        await BalancedAsync();
    }

    [Theory]
    [InlineData("/v1/embeddings", """{"model":"sim-embed","input":"knots"}""", "list")]
    [InlineData("/v1/responses", """{"model":"sim-echo","input":"knots"}""", "response")]
    [InlineData("/v1/completions", """{"model":"sim-echo","prompt":"knots"}""", "text_completion")]
    public async Task Batch_OtherEndpoints_ReturnsTheirResponseFormat(string endpoint, string body, string kind)
    {
        var file = await UploadedAsync(Client, $$"""{"custom_id":"a","method":"POST","url":"{{endpoint}}","body":{{body}}}""");
        var done = await EndedAsync(Client, await CreatedAsync(Client, file, endpoint));
        Assert.Equal("completed", done.GetProperty("status").GetString());
        var answer = (await LinesAsync(Client, done, "output_file_id"))["a"].GetProperty("response").GetProperty("body");
        Assert.Equal(kind, answer.GetProperty("object").GetString());
    }

    [Fact]
    public async Task Batch_InvalidInputFile_FailsAndNamesLines()
    {
        var file = await UploadedAsync(Client, Line("a", "x"), "nothing", Line("a", "x"), Line("b", "x", "other"), """{"custom_id":"c","method":"POST","url":"/v1/embeddings","body":{}}""");
        var done = await EndedAsync(Client, await CreatedAsync(Client, file));
        Assert.Equal("failed", done.GetProperty("status").GetString());
        Assert.Equal(JsonValueKind.Number, done.GetProperty("failed_at").ValueKind);
        var errors = done.GetProperty("errors").GetProperty("data").EnumerateArray().Select(error => (error.GetProperty("line").GetInt32(), error.GetProperty("code").GetString()));
        Assert.Equal([(2, "invalid_json_line"), (3, "duplicate_custom_id"), (4, "mismatched_model"), (5, "invalid_url")], errors);
        Assert.Empty(_upstream.Received);
    }

    [Fact]
    public async Task Batch_UnknownModel_Fails()
    {
        var done = await EndedAsync(Client, await CreatedAsync(Client, await UploadedAsync(Client, Line("a", "x", "nothing"))));
        Assert.Equal("failed", done.GetProperty("status").GetString());
        Assert.Equal("model_not_found", done.GetProperty("errors").GetProperty("data")[0].GetProperty("code").GetString());
        await BalancedAsync();
    }

    [Fact]
    public async Task Batch_MoreLinesThanOpenAtOnce_LosesAndDuplicatesNone()
    {
        const int count = 1300;
        _upstream.Answer = context => FakeUpstream.Json(context, FakeUpstream.Completion(Asked(context)));
        // A field that only its own server knows, so that each is asked for whole: a stream would cost more than is learnt by it.
        var file = await UploadedAsync(Client, Enumerable.Range(0, count).Select(i => Line($"n{i}", $"t{i}", more: ",\"vendor\":1")));
        var done = await EndedAsync(Client, await CreatedAsync(Client, file));
        Assert.Equal($$"""{"total":{{count}},"completed":{{count}},"failed":0}""", done.GetProperty("request_counts").ToString());
        var answers = await LinesAsync(Client, done, "output_file_id");
        Assert.Equal(count, answers.Count);
        Assert.All(answers, line => Assert.Equal("t" + line.Key[1..], Text(line.Value)));
        Assert.Equal(count, _upstream.Received.Count);
        await BalancedAsync();
    }

    [Fact]
    public async Task BatchLines_ClockMovedBack_StartInFileOrder()
    {
        Ids.New("", new FakeTimeProvider(TimeProvider.System.GetUtcNow().AddHours(1)));
        await using var gateway = await TestGateway.StartAsync(_upstream.Yaml() + """

              jobs: { workers: 1 }
            """);
        var texts = Enumerable.Range(0, 40).Select(i => $"t{i}").ToArray();
        var id = await CreatedAsync(gateway.Client, await UploadedAsync(gateway.Client, texts.Select(text => Line(text, text))));
        Assert.Equal("completed", (await EndedAsync(gateway.Client, id)).GetProperty("status").GetString());
        Assert.Equal(texts, _upstream.Received.Select(body => body.GetProperty("messages")[0].GetProperty("content").GetString()));
    }

    [Fact]
    public async Task Cancel_RunningBatch_KeepsCompletedLinesAndListsTheRest()
    {
        var gate = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            if (Asked(context) != "quick") await gate.Task.WaitAsync(context.RequestAborted);
            await EchoAsync(context);
        };
        var file = await UploadedAsync(Client, Enumerable.Range(0, 30).Select(i => Line($"n{i}", i == 0 ? "quick" : "slow")));
        var id = await CreatedAsync(Client, file);
        var running = await AwaitAsync(Client, id, batch => batch.GetProperty("request_counts").GetProperty("completed").GetInt32() == 1);
        Assert.Equal("in_progress", running.GetProperty("status").GetString());
        Assert.Equal(30, running.GetProperty("request_counts").GetProperty("total").GetInt32());

        // Its file may be deleted meanwhile; the batch has it for itself.
        using (var gone = await Client.DeleteAsync(new Uri($"/v1/files/{file}", UriKind.Relative), Cancel)) await JsonAsync(gone);
        using (var asked = await Client.PostAsync(new Uri($"/v1/batches/{id}/cancel", UriKind.Relative), null, Cancel)) Assert.Equal("cancelling", (await JsonAsync(asked)).GetProperty("status").GetString());
        var done = await EndedAsync(Client, id);
        Assert.Equal("cancelled", done.GetProperty("status").GetString());
        Assert.Equal("""{"total":30,"completed":1,"failed":29}""", done.GetProperty("request_counts").ToString());
        Assert.Equal(["n0"], (await LinesAsync(Client, done, "output_file_id")).Keys);
        var errors = await LinesAsync(Client, done, "error_file_id");
        Assert.Equal(29, errors.Count);
        Assert.All(errors.Values, line => Assert.Equal("batch_cancelled", line.GetProperty("error").GetProperty("code").GetString()));
        await BalancedAsync();
        using var late = await Client.PostAsync(new Uri($"/v1/batches/{id}/cancel", UriKind.Relative), null, Cancel);
        Assert.Equal("cancelled", (await JsonAsync(late)).GetProperty("status").GetString());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Batch_WindowElapsed_ExpiresWithPartialResults(bool contentIsLost)
    {
        var gate = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            if (Asked(context) != "quick") await gate.Task.WaitAsync(context.RequestAborted);
            await EchoAsync(context);
        };
        // More lines than are queued at once, so that some never start.
        var file = await UploadedAsync(Client, Enumerable.Range(0, 1100).Select(i => Line($"n{i}", i == 0 ? "quick" : "slow")));
        var id = await CreatedAsync(Client, file);
        await AwaitAsync(Client, id, batch => batch.GetProperty("request_counts").GetProperty("completed").GetInt32() == 1);
        if (contentIsLost) await _gateway.Services.GetRequiredService<IFileContents>().DeleteAsync(file, Cancel);
        var storage = _gateway.Services.GetRequiredService<IStorage>();
        await using (var connection = await storage.OpenAsync(Cancel))
        {
            await using var command = connection.CreateCommand();
            command.CommandText = "UPDATE batches SET expires_at = created_at + 1";
            await command.ExecuteNonQueryAsync(Cancel);
        }
        var done = await EndedAsync(Client, id);
        Assert.Equal("expired", done.GetProperty("status").GetString());
        Assert.Equal(JsonValueKind.Number, done.GetProperty("expired_at").ValueKind);
        Assert.Equal("""{"total":1100,"completed":1,"failed":1099}""", done.GetProperty("request_counts").ToString());
        Assert.Equal(["n0"], (await LinesAsync(Client, done, "output_file_id")).Keys);
        var errors = await LinesAsync(Client, done, "error_file_id");
        // Without the file, the names of the lines that were still in it are unknown.
        Assert.Equal(contentIsLost ? 999 : 1099, errors.Count);
        Assert.All(errors.Values, line => Assert.Equal("batch_expired", line.GetProperty("error").GetProperty("code").GetString()));
        await BalancedAsync();
    }

    [Fact]
    public async Task Database_NotWritable_RefusesFilesAndBatches()
    {
        var file = await UploadedAsync(Client, Line("a", "x"));
        await using (await _gateway.BlockWritesAsync())
        {
            var refused = await Task.WhenAll(UploadAsync(Client, "{}"u8.ToArray()), CreateAsync(Client, file));
            foreach (var response in refused)
            {
                using (response)
                {
                    Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
                    Assert.Contains("\"code\":\"store_unavailable\"", await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
                    Assert.NotNull(response.Headers.RetryAfter);
                }
            }
        }
        // Nothing of the refused requests was stored. Calls work again when the database is available.
        Assert.Empty((await GetAsync(Client, "/v1/batches")).GetProperty("data").EnumerateArray());
        Assert.Single((await GetAsync(Client, "/v1/files")).GetProperty("data").EnumerateArray());
        Assert.Equal("completed", (await EndedAsync(Client, await CreatedAsync(Client, file))).GetProperty("status").GetString());
    }

    [Fact]
    public async Task Cancel_CompletedBatch_Returns409()
    {
        var id = await CreatedAsync(Client, await UploadedAsync(Client, Line("a", "x")));
        await EndedAsync(Client, id);
        using var response = await Client.PostAsync(new Uri($"/v1/batches/{id}/cancel", UriKind.Relative), null, Cancel);
        Assert.Equal(HttpStatusCode.Conflict, response.StatusCode);
    }

    [Fact]
    public async Task CreateBatch_InvalidRequest_IsRefused()
    {
        var file = await UploadedAsync(Client, Line("a", "x"));
        using (var picture = await UploadAsync(Client, "x"u8.ToArray(), "vision"))
        {
            var other = (await JsonAsync(picture)).GetProperty("id").GetString();
            await RefusedAsync($$"""{"input_file_id":"{{other}}","endpoint":"/v1/embeddings","completion_window":"24h"}""", HttpStatusCode.BadRequest, "input_file_id");
        }
        await RefusedAsync("""{"input_file_id":"file-nothing","endpoint":"/v1/embeddings","completion_window":"24h"}""", HttpStatusCode.NotFound, "input_file_id");
        await RefusedAsync("{}", HttpStatusCode.BadRequest, "input_file_id");
        await RefusedAsync("nothing", HttpStatusCode.BadRequest, null);
        await RefusedAsync("[]", HttpStatusCode.BadRequest, null);
        await RefusedAsync($$"""{"input_file_id":"{{file}}","endpoint":"/v1/moderations","completion_window":"24h"}""", HttpStatusCode.BadRequest, "endpoint");
        await RefusedAsync($$"""{"input_file_id":"{{file}}","endpoint":"/v1/embeddings","completion_window":"1h"}""", HttpStatusCode.BadRequest, "completion_window");
        await RefusedAsync($$$"""{"input_file_id":"{{{file}}}","endpoint":"/v1/embeddings","completion_window":"24h","metadata":{"a":1}}""", HttpStatusCode.BadRequest, "metadata");
        await RefusedAsync($$"""{"input_file_id":"{{file}}","endpoint":"/v1/embeddings","completion_window":"24h","flavour":1}""", HttpStatusCode.BadRequest, "flavour");
        await RefusedAsync($$$"""{"input_file_id":"{{{file}}}","endpoint":"/v1/embeddings","completion_window":"24h","output_expires_after":{"anchor":"created_at","seconds":1}}""", HttpStatusCode.BadRequest, "output_expires_after.seconds");
        await RefusedAsync($$$"""{"input_file_id":"{{{file}}}","endpoint":"/v1/embeddings","completion_window":"24h","metadata":{"{{{new string('k', 70_000)}}}":"v"}}""", HttpStatusCode.RequestEntityTooLarge, null);

        var (secret, _) = await _gateway.MakeKeyAsync("\"scopes\":[\"batches\",\"embeddings\"]");
        using var narrow = _gateway.MakeClient(secret);
        using (var scopeless = await CreateAsync(narrow, file)) Assert.Equal(HttpStatusCode.Forbidden, scopeless.StatusCode);
        (secret, _) = await _gateway.MakeKeyAsync("\"classes\":[\"standard\"]");
        using var classless = _gateway.MakeClient(secret);
        using (var forbidden = await CreateAsync(classless, file)) Assert.Equal(HttpStatusCode.Forbidden, forbidden.StatusCode);
        Assert.Empty((await GetAsync(Client, "/v1/batches")).GetProperty("data").EnumerateArray());
    }

    [Fact]
    public async Task Create_SameIdempotencyKey_CreatesOneBatch()
    {
        var file = await UploadedAsync(Client, Line("a", "x"));
        using var first = await CreateAsync(Client, file, key: "key-1");
        using var again = await CreateAsync(Client, file, key: "\"key-1\"");
        var id = (await JsonAsync(first)).GetProperty("id").GetString()!;
        Assert.Equal(id, (await JsonAsync(again)).GetProperty("id").GetString());
        Assert.Equal("true", again.Headers.GetValues("Idempotent-Replayed").Single());
        using var other = await CreateAsync(Client, file, more: ""","metadata":{"a":"b"}""", key: "key-1");
        Assert.Equal(HttpStatusCode.UnprocessableEntity, other.StatusCode);
        await EndedAsync(Client, id);
        Assert.Single(_upstream.Received);
    }

    [Fact]
    public async Task Batch_KeyRevokedMeanwhile_FailsRemainingLines()
    {
        var gate = new TaskCompletionSource();
        _upstream.Answer = async context =>
        {
            await gate.Task.WaitAsync(context.RequestAborted);
            await EchoAsync(context);
        };
        var (secret, keyId) = await _gateway.MakeKeyAsync("\"scopes\":[\"chat\",\"batches\"]");
        using var client = _gateway.MakeClient(secret);
        var id = await CreatedAsync(client, await UploadedAsync(client, Enumerable.Range(0, 20).Select(i => Line($"n{i}", "x"))));
        await AwaitAsync(Client, id, _ => _upstream.Received.Count == 8);
        using (var revoked = await _gateway.Admin.PostAsync(new Uri($"/admin/v1/keys/{keyId}/revoke", UriKind.Relative), null, Cancel)) Assert.True(revoked.IsSuccessStatusCode, $"{(int)revoked.StatusCode} {await revoked.Content.ReadAsStringAsync(Cancel)}");
        gate.SetResult();
        var done = await EndedAsync(Client, id);
        Assert.Equal("""{"total":20,"completed":8,"failed":12}""", done.GetProperty("request_counts").ToString());
        Assert.All((await LinesAsync(Client, done, "error_file_id")).Values, line => Assert.Equal("key_revoked", line.GetProperty("response").GetProperty("body").GetProperty("error").GetProperty("code").GetString()));
        await BalancedAsync();
    }

    private static string Asked(HttpContext context) => ((JsonElement)context.Items[FakeUpstream.RequestItem]!).GetProperty("messages")[0].GetProperty("content").GetString()!;

    private static async Task EchoAsync(HttpContext context)
    {
        var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
        if (!request.TryGetProperty("stream", out var stream) || !stream.GetBoolean())
        {
            await FakeUpstream.Json(context, FakeUpstream.Completion(Asked(context)));
            return;
        }
        await FakeUpstream.BeginAsync(context);
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($$"""{"content":"{{Asked(context)}}"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
    }

    private static string Text(JsonElement line) => line.GetProperty("response").GetProperty("body").GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()!;

    private async Task RefusedAsync(string body, HttpStatusCode status, string? param)
    {
        using var response = await Client.PostAsync(new Uri("/v1/batches", UriKind.Relative), new StringContent(body, System.Text.Encoding.UTF8, "application/json"), Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == status, $"{(int)response.StatusCode} {text}");
        Assert.Equal(param, JsonDocument.Parse(text).RootElement.GetProperty("error").GetProperty("param").GetString());
    }

    private async Task BalancedAsync()
    {
        var ledger = (InMemoryTokenLedger)_gateway.Services.GetRequiredService<ITokenLedger>();
        var drain = _gateway.Services.GetRequiredService<DrainState>();
        for (var i = 0; ledger.Totals().Open > 0 || drain.Active > 0; i++)
        {
            Assert.True(i < 4000, $"{ledger.Totals().Open} reservations are held, {drain.Active} calls are open.");
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
        }
    }
}
