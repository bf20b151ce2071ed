using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests;

/// <summary>Runs <c>samples/EmbeddedRag</c> as its README says and speaks to it over HTTP.</summary>
public sealed class EmbeddedSampleTests(EmbeddedSample sample) : IClassFixture<EmbeddedSample>
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Chat_AnswerableQuestion_ReturnsQuoteCitationsTimingsAndQualitySignal()
    {
        var answer = await AnswerAsync("/v1/chat/completions", Ask("When does the ferry leave?"));

        var message = answer["choices"]![0]!["message"]!;
        Assert.Contains("at seven in the morning", message["content"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.Equal("stop", answer["choices"]![0]!["finish_reason"]!.GetValue<string>());
        Assert.Equal("/documents/ferry", message["annotations"]![0]!["url_citation"]!["url"]!.GetValue<string>());
        AssertReported(answer["fairlead"]!, minGroundedness: 0.18);
        Assert.Equal("harbour-rag", answer["model"]!.GetValue<string>());
        Assert.Equal("estimated", answer["fairlead"]!["usage"]!["basis"]!.GetValue<string>());
        var document = await sample.Client.GetStringAsync("/documents/ferry", Token);
        Assert.Contains("seven in the morning", document, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Chat_UnanswerableQuestion_ReturnsNoAnswerMessage()
    {
        var answer = await AnswerAsync("/v1/chat/completions", Ask("What is the capital of Mongolia?"));
        Assert.Equal("The documents say nothing about that.", answer["choices"]![0]!["message"]!["content"]!.GetValue<string>());
        Assert.Equal(0, answer["fairlead"]!["quality"]!["groundedness"]!.GetValue<double>());
    }

    [Fact]
    public async Task Chat_Streamed_ReturnsSameTextAndReportsAtEnd()
    {
        var whole = (await AnswerAsync("/v1/chat/completions", Ask("Where can I get diesel?")))["choices"]![0]!["message"]!["content"]!.GetValue<string>();
        var body = Ask("Where can I get diesel?");
        body["stream"] = true;

        using var response = await SendAsync("/v1/chat/completions", body);

        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        var data = (await response.Content.ReadAsStringAsync(Token)).Split('\n').Where(l => l.StartsWith("data: ", StringComparison.Ordinal)).Select(l => l[6..]).ToList();
        Assert.Equal("[DONE]", data[^1]);
        var events = data[..^1].Select(d => JsonNode.Parse(d)!).ToList();
        Assert.Equal(whole, string.Concat(events.Select(e => e["choices"] is JsonArray { Count: > 0 } choices ? choices[0]!["delta"]?["content"]?.GetValue<string>() : null)));
        AssertReported(events.Last(e => e["fairlead"] is not null)["fairlead"]!, minGroundedness: 0.18);
    }

    [Fact]
    public async Task Chat_MaxTokens_IsEnforcedAndReported()
    {
        var body = Ask("When does the ferry leave?");
        body["max_tokens"] = 3;
        var answer = await AnswerAsync("/v1/chat/completions", body);
        Assert.Equal("length", answer["choices"]![0]!["finish_reason"]!.GetValue<string>());
        Assert.Equal("The ferry to", answer["choices"]![0]!["message"]!["content"]!.GetValue<string>());
    }

    [Fact]
    public async Task Chat_ToolsUnsupportedByModel_IsRefusedBeforeClientCall()
    {
        var body = Ask("When does the ferry leave?");
        body["tools"] = new JsonArray(new JsonObject { ["type"] = "function", ["function"] = new JsonObject { ["name"] = "f" } });
        using var response = await SendAsync("/v1/chat/completions", body);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
    }

    [Fact]
    public async Task Messages_SameModel_RespondsInMessagesDialect()
    {
        var body = Ask("Is the museum open on Mondays?");
        body["max_tokens"] = 200;
        var answer = await AnswerAsync("/v1/messages", body);
        Assert.Contains("closed on Mondays", answer["content"]![0]!["text"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.Equal("end_turn", answer["stop_reason"]!.GetValue<string>());
    }

    [Fact]
    public async Task Embeddings_SimilarTexts_HaveSimilarVectors()
    {
        var answer = await AnswerAsync("/v1/embeddings", new JsonObject { ["model"] = "harbour-embed", ["input"] = new JsonArray("the ferry sails", "when does the ferry sail", "diesel and petrol") });
        var vectors = answer["data"]!.AsArray().Select(d => d!["embedding"]!.AsArray().Select(v => v!.GetValue<float>()).ToArray()).ToList();
        Assert.All(vectors, v => Assert.Equal(512, v.Length));
        Assert.All(vectors, v => Assert.Equal(1, Dot(v, v), 0.001));
        Assert.True(Dot(vectors[0], vectors[1]) > Dot(vectors[0], vectors[2]) + 0.2f);
    }

    [Fact]
    public async Task Embeddings_DimensionsRefusedByGenerator_ReturnsGeneratorsError()
    {
        using var response = await SendAsync("/v1/embeddings", new JsonObject { ["model"] = "harbour-embed", ["input"] = "a", ["dimensions"] = 5 });
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        var error = JsonNode.Parse(await response.Content.ReadAsStringAsync(Token))!["error"]!;
        Assert.Equal(("invalid_parameter", "dimensions"), (error["code"]!.GetValue<string>(), error["param"]!.GetValue<string>()));
        Assert.Equal("Vectors of this model have 16 to 4096 dimensions.", error["message"]!.GetValue<string>());
    }

    [Fact]
    public async Task Error_EmbeddedProgram_LinksToEntryOnItsOwnErrorsPage()
    {
        var body = Ask("Is the museum open on Mondays?");
        body["model"] = "no-such-model";
        using var response = await SendAsync("/v1/chat/completions", body);
        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        var link = new Uri(JsonNode.Parse(await response.Content.ReadAsStringAsync(Token))!["error"]!["doc_url"]!.GetValue<string>());
        Assert.Equal(sample.Client.BaseAddress!.Authority, link.Authority);

        using var page = await sample.Client.GetAsync(link, Token);

        Assert.Equal((HttpStatusCode.OK, "text/html"), (page.StatusCode, page.Content.Headers.ContentType!.MediaType));
        Assert.Contains($"id=\"{link.Fragment[1..]}\"", await page.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
    }

    private static JsonObject Ask(string question) => new()
    {
        ["model"] = "harbour-rag",
        ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = question }),
    };

    private static void AssertReported(JsonNode fairlead, double minGroundedness)
    {
        Assert.True(fairlead["timing_ms"]!["embedding"]!.GetValue<double>() >= 0);
        Assert.True(fairlead["timing_ms"]!["retrieval"]!.GetValue<double>() >= 0);
        Assert.InRange(fairlead["quality"]!["groundedness"]!.GetValue<double>(), minGroundedness, 1);
    }

    private static float Dot(float[] left, float[] right) => left.Zip(right, (l, r) => l * r).Sum();

    private async Task<JsonNode> AnswerAsync(string path, JsonObject body)
    {
        using var response = await SendAsync(path, body);
        var text = await response.Content.ReadAsStringAsync(Token);
        Assert.True(response.StatusCode == HttpStatusCode.OK, text);
        return JsonNode.Parse(text)!;
    }

    private Task<HttpResponseMessage> SendAsync(string path, JsonObject body) =>
        sample.Client.PostJsonAsync(path, body.ToJsonString(), completion: HttpCompletionOption.ResponseContentRead);
}

/// <summary>The sample in a separate process, with its own data folder and a key created through its admin API.</summary>
public sealed class EmbeddedSample : IAsyncLifetime
{
    private const string AdminKey = "an-admin-key-for-the-test";

    private readonly string _data = Directory.CreateTempSubdirectory("fairlead-sample-").FullName;
    private readonly StringBuilder _output = new();
    private Process? _process;

    public HttpClient Client { get; } = new();

    public async ValueTask InitializeAsync()
    {
        // artifacts/bin/<project>/<configuration>: the sample is next to the tests.
        var here = new DirectoryInfo(AppContext.BaseDirectory);
        var program = Path.Combine(here.Parent!.Parent!.FullName, "EmbeddedRag", here.Name, "EmbeddedRag.dll");
        var start = new ProcessStartInfo("dotnet", [program, "--urls", "http://127.0.0.1:0"])
        {
            WorkingDirectory = _data,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["FAIRLEAD_ADMIN_KEY"] = AdminKey;
        start.Environment["FAIRLEAD_DATA"] = _data;
        start.Environment["ASPNETCORE_ENVIRONMENT"] = "Production";
        var address = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        _process = new Process { StartInfo = start, EnableRaisingEvents = true };
        _process.OutputDataReceived += (_, line) => Take(line.Data, address);
        _process.ErrorDataReceived += (_, line) => Take(line.Data, address);
        _process.Exited += (_, _) => address.TrySetException(new InvalidOperationException($"The sample ended: {_output}"));
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        Client.BaseAddress = new Uri(await address.Task.WaitAsync(TimeSpan.FromSeconds(60)));

        var organization = await AdminAsync("organizations", new JsonObject { ["name"] = "harbour" });
        var project = await AdminAsync("projects", new JsonObject { ["name"] = "website", ["organization_id"] = organization["id"]!.GetValue<string>() });
        var key = await AdminAsync("keys", new JsonObject { ["name"] = "trying", ["project_id"] = project["id"]!.GetValue<string>() });
        Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key["secret"]!.GetValue<string>());
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        if (_process is { } process)
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
            process.Dispose();
        }
        Directory.Delete(_data, recursive: true);
    }

    private async Task<JsonNode> AdminAsync(string path, JsonObject body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"/admin/v1/{path}") { Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", AdminKey);
        using var response = await Client.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        return response.StatusCode == HttpStatusCode.Created ? JsonNode.Parse(text)! : throw new InvalidOperationException($"{path}: {(int)response.StatusCode} {text}");
    }

    private void Take(string? line, TaskCompletionSource<string> address)
    {
        if (line is null) return;
        lock (_output) _output.AppendLine(line);
        const string Mark = "Now listening on: ";
        var at = line.IndexOf(Mark, StringComparison.Ordinal);
        if (at >= 0) address.TrySetResult(line[(at + Mark.Length)..].Trim());
    }
}
