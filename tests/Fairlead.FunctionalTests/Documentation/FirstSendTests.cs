using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

namespace Fairlead.FunctionalTests.Documentation;

/// <summary>
/// What <c>/reference</c> sends when a reader presses Send and changes nothing: the documented example body, and of the parameters those that are required or show a
/// value. On a fresh server, with the key that it printed.
/// </summary>
public sealed class FirstSendTests(ServerFixture fixture) : IClassFixture<ServerFixture>
{
    // What needs something that a fresh server does not have: an uploaded file, a provider that compacts, a receiver of webhooks.
    private static readonly string[] NeedMore = ["/v1/batches", "/v1/responses/compact", "/v2/webhooks"];

    public static TheoryData<string, string> Examples => [.. Operations().SelectMany(one => Bodies(one.Operation).Select(example => (one.Path, example.Name)))];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void GenerationOperations_All_AreCovered() =>
        Assert.Superset(
            new HashSet<string> { "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/messages", "/v1/messages/count_tokens", "/v1/responses", "/v2/generations", "/v2/estimates" },
            Operations().Where(one => Bodies(one.Operation).Any()).Select(one => one.Path).ToHashSet());

    [Theory]
    [MemberData(nameof(Examples))]
    public async Task Send_UnmodifiedDocsExample_Succeeds(string path, string example)
    {
        var operation = OpenApiDocument.Build()["paths"]![path]!["post"]!;
        var bodies = Bodies(operation).ToList();
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(fixture.Server.Address + path + Query(operation)));
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", await fixture.Server.ClientKeyAsync());
        foreach (var (name, value) in Sent(operation, "header")) request.Headers.TryAddWithoutValidation(name, value);
        request.Content = new StringContent(bodies.Single(one => one.Name == example).Value.ToJsonString(), Encoding.UTF8, "application/json");
        using var response = await fixture.Server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Token);

        if (!response.IsSuccessStatusCode) Assert.Fail($"{(int)response.StatusCode}: {await response.Content.ReadAsStringAsync(Token)}");
        // Only an example that is called a job is one. The first of all is what most readers send.
        Assert.Equal(example == "job" ? HttpStatusCode.Accepted : HttpStatusCode.OK, response.StatusCode);
        Assert.NotEqual("job", bodies[0].Name);
        await using var body = await response.Content.ReadAsStreamAsync(Token);
        Assert.NotEqual(0, await body.ReadAsync(new byte[1], Token));
    }

    [Fact]
    public async Task Send_FromBrowserReference_SucceedsWithoutOptionalHeaders()
    {
        var chromium = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Select(folder => Path.Combine(folder, "chromium")).FirstOrDefault(File.Exists);
        Assert.SkipWhen(chromium is null, "Chromium is not installed; ./test.sh installs it.");
        var scripts = Path.Combine(Example.Root, "tests", "Fairlead.FunctionalTests", "Clients", "node");
        var node = Path.Combine(scripts, "node_modules", ".bin", "node");
        Assert.True(File.Exists(node), "The npm clients are not installed: run ./test.sh, or `npm ci` in tests/Fairlead.FunctionalTests/Clients/node.");
        string[] operations = ["v1/chat/v1/chat/completions", "v1/responses/v1/responses", "v1/messages/v1/messages", "v2/generations/v2/generations"];
        var profile = Directory.CreateTempSubdirectory("fairlead-chromium-");

        var (exit, output) = await CSharpExamples.RunAsync(node, [Path.Combine(scripts, "reference.mjs"), chromium!, profile.FullName, fixture.Server.Address, await fixture.Server.ClientKeyAsync(), .. operations], profile.FullName, [], Token);

        Assert.True(exit == 0, output);
        var sent = output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line[0] == '{').Select(line => JsonNode.Parse(line)!).ToList();
        Assert.Equal(["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v2/generations"], sent.Select(one => one["path"]!.GetValue<string>()));
        Assert.All(sent, one => Assert.True(one["status"]!.GetValue<int>() == 200, one.ToJsonString()));
        var headers = sent.SelectMany(one => one["headers"]!.AsArray().Select(name => name!.GetValue<string>().ToLowerInvariant())).ToHashSet();
        Assert.Contains("authorization", headers);
        Assert.DoesNotContain(headers, name => name is "prefer" or "idempotency-key" || name.StartsWith("fairlead-", StringComparison.Ordinal));
        await RemoveAsync(profile);
    }

    // Chromium's own helpers may still write there for a moment.
    private static async Task RemoveAsync(DirectoryInfo folder)
    {
        for (var tries = 0; ; tries++)
        {
            try
            {
                folder.Delete(recursive: true);
                return;
            }
            catch (IOException) when (tries < 20)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Token);
            }
        }
    }

    private static IEnumerable<(string Path, JsonNode Operation)> Operations() => OpenApiDocument.Build()["paths"]!.AsObject()
        .Where(path => !path.Key.Contains('{', StringComparison.Ordinal) && !path.Key.StartsWith("/admin", StringComparison.Ordinal) && !NeedMore.Contains(path.Key) && path.Value!["post"] is not null)
        .Select(path => (path.Key, path.Value!["post"]!));

    private static IEnumerable<(string Name, JsonNode Value)> Bodies(JsonNode operation)
    {
        var json = operation["requestBody"]?["content"]?["application/json"];
        if (json?["example"] is { } one) yield return ("example", one);
        foreach (var (name, value) in json?["examples"] as JsonObject ?? []) yield return (name, value!["value"]!);
    }

    private static string Query(JsonNode operation)
    {
        var pairs = Sent(operation, "query").Select(pair => $"{pair.Name}={Uri.EscapeDataString(pair.Value)}").ToList();
        return pairs.Count == 0 ? "" : "?" + string.Join('&', pairs);
    }

    private static IEnumerable<(string Name, string Value)> Sent(JsonNode operation, string place)
    {
        var document = operation.Root;
        foreach (var parameter in (operation["parameters"] as JsonArray ?? []).Select(node => SchemaCheck.Resolve(document, node!)).Where(node => node["in"]!.GetValue<string>() == place))
        {
            var schema = SchemaCheck.Resolve(document, parameter["schema"]!);
            var shown = parameter["example"] ?? (parameter["examples"] as JsonObject)?.First().Value!["value"] ?? schema["example"] ?? (schema["examples"] as JsonArray)?[0] ?? schema["default"];
            if (shown is null && parameter["required"]?.GetValue<bool>() != true) continue;
            yield return (parameter["name"]!.GetValue<string>(), shown?.ToString() ?? (schema["enum"] as JsonArray)?[0]!.ToString() ?? "");
        }
    }
}
