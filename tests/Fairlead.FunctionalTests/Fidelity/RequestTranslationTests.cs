using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Fidelity;

/// <summary>
/// The translation of requests, row by row: the request of a client (<c>Golden/Requests/ROW/CLIENT.request.json</c>) and what the running gateway sends to a provider with
/// another dialect, with the warnings that the client gets; or the client's error.
/// </summary>
public sealed class RequestTranslationTests(TranslationFixture fixture) : IClassFixture<TranslationFixture>
{
    private static readonly JsonSerializerOptions Indented = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, WriteIndented = true };

    private static readonly string Folder = Path.Combine(Path.GetDirectoryName(TranslationFixture.Folder)!, "Requests");

    // The providers that do not speak the client's dialect.
    private static readonly (string Client, string[] Upstreams)[] Upstreams =
    [
        ("chat", ["anthropic", "gemini"]),
        ("messages", ["openai", "gemini"]),
        ("responses", ["anthropic", "gemini"]),
        ("v2", ["openai", "anthropic", "gemini"]),
    ];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, string, string> Cases
    {
        get
        {
            var cases = new TheoryData<string, string, string>();
            foreach (var row in Rows())
            {
                foreach (var (client, upstreams) in Upstreams)
                {
                    if (!File.Exists(Path.Combine(Folder, row, client + ".request.json"))) continue;
                    foreach (var upstream in upstreams) cases.Add(row, client, upstream);
                }
            }
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Request_TranslatedForProvider_MatchesGoldenFile(string row, string client, string upstream)
    {
        fixture.Serve("finish-stop", upstream);
        var body = (await File.ReadAllTextAsync(Path.Combine(Folder, row, client + ".request.json"), Token)).Replace("\"MODEL\"", $"\"{upstream}\"", StringComparison.Ordinal);
        var before = fixture.Upstream.Received.Count;
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var response = await fixture.Gateway.Client.PostAsync(ClientRequests.Path(client), content, Token);
        var answer = await response.Content.ReadAsStringAsync(Token);

        var text = new StringBuilder();
        if (response.IsSuccessStatusCode)
        {
            Assert.Equal(before + 1, fixture.Upstream.Received.Count);
            text.Append("POST ").Append(fixture.Upstream.Paths.Last()).Append('\n');
            if (fixture.Upstream.Headers.Last().TryGetValue("anthropic-version", out var version)) text.Append("anthropic-version: ").Append(version).Append('\n');
            text.Append(JsonNode.Parse(fixture.Asked.GetRawText())!.ToJsonString(Indented)).Append('\n');
            var result = JsonNode.Parse(answer)!;
            foreach (var warning in (client == "v2" ? result : result["fairlead"]!)["warnings"]!.AsArray()) text.Append("warning ").Append(warning!["code"]).Append(": ").Append(warning["message"]).Append('\n');
        }
        else
        {
            Assert.Equal(before, fixture.Upstream.Received.Count);
            var error = JsonNode.Parse(answer)!;
            if (client != "v2") error = error["error"]!;
            var (place, message) = client == "v2" ? (error["errors"]![0]!["pointer"], error["detail"]) : (error["param"], error["message"]);
            text.Append("refused ").Append((int)response.StatusCode).Append(' ').Append(error["code"]).Append(" at ").Append(place).Append(": ").Append(message).Append('\n');
        }
        var path = Path.Combine(Folder, row, $"{client}-to-{upstream}.golden");
        GoldenFile.MatchesAt(path, text.ToString());
    }

    /// <summary>The rows about requests in the mapping between OpenAI chat and Anthropic, each with the folders that show it in both directions, or in the only one.</summary>
    [Theory]
    [InlineData("system and developer messages", "instructions")]
    [InlineData("max_tokens", "output-cap", "output-cap-absent>")]
    [InlineData("stop", "stop", "stop-white-space>")]
    [InlineData("temperature", "sampling")]
    [InlineData("n, logprobs, logit_bias, seed, penalties", "several-choices>", "logprobs>", "logit-bias>", "seed>", "penalties>")]
    [InlineData("images", "images")]
    [InlineData("files", "pdf", "<text-document")]
    [InlineData("tool calls and results", "tool-loop", "tool-arguments-broken>")]
    [InlineData("tools", "tool-choice-auto", "functions>")]
    [InlineData("tool_choice, parallel_tool_calls", "tool-choice-none", "tool-choice-required", "tool-choice-named", "one-tool-at-a-time")]
    [InlineData("response_format", "json-schema", "json-object>")]
    [InlineData("reasoning_effort", "effort-none", "effort-minimal>", "effort-high", "<thinking-budget")]
    [InlineData("user", "end-user")]
    [InlineData("what has no counterpart", "no-counterpart", "web-search>", "<server-tools")]
    public void RequestMapping_EachRow_HasGoldenFiles(string row, params string[] folders)
    {
        Assert.NotEmpty(row);
        foreach (var folder in folders)
        {
            var name = folder.Trim('<', '>');
            if (!folder.StartsWith('<')) Assert.True(File.Exists(Path.Combine(Folder, name, "chat-to-anthropic.golden")), folder);
            if (!folder.EndsWith('>')) Assert.True(File.Exists(Path.Combine(Folder, name, "messages-to-openai.golden")), folder);
        }
    }

    [Fact]
    public void GoldenFiles_All_BelongToTestCase() =>
        Assert.Equal(
            Cases.Select(c => c.Data).Select(c => $"{c.Item1}/{c.Item2}-to-{c.Item3}.golden").Order(StringComparer.Ordinal),
            Rows().SelectMany(row => Directory.GetFiles(Path.Combine(Folder, row), "*.golden").Select(file => $"{row}/{Path.GetFileName(file)}")).Order(StringComparer.Ordinal));

    private static IEnumerable<string> Rows() => Directory.GetDirectories(Folder).Select(folder => Path.GetFileName(folder)!).Order(StringComparer.Ordinal);
}
