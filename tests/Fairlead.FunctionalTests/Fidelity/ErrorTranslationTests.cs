using System.Text;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;

namespace Fairlead.FunctionalTests.Fidelity;

/// <summary>
/// The translation of errors: the response of a provider (<c>Golden/Errors/UPSTREAM.KIND.response.json</c>: status, body, and its <c>Retry-After</c>) and what a client of each
/// dialect gets.
/// </summary>
public sealed class ErrorTranslationTests(ErrorTranslationFixture fixture) : IClassFixture<ErrorTranslationFixture>
{
    private static readonly string[] Clients = ["chat", "messages", "responses", "v2"];

    private static readonly string Folder = Path.Combine(Path.GetDirectoryName(TranslationFixture.Folder)!, "Errors");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, string, bool> Cases
    {
        get
        {
            var cases = new TheoryData<string, string, bool>();
            foreach (var kind in Kinds())
            {
                foreach (var client in Clients)
                {
                    cases.Add(kind, client, false);
                    cases.Add(kind, client, true);
                }
            }
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task ProviderError_AnyClient_MatchesGoldenFile(string kind, string client, bool stream)
    {
        var upstream = kind[..kind.IndexOf('.', StringComparison.Ordinal)];
        fixture.Serve(JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(Folder, kind + ".response.json"), Token))!);
        using var request = new HttpRequestMessage(HttpMethod.Post, ClientRequests.Path(client))
        {
            Content = new StringContent(ClientRequests.Body("error", upstream, client, stream).Replace($"\"{upstream}\"", $"\"{ErrorTranslationFixture.ModelOf(kind, client, stream)}\"", StringComparison.Ordinal), Encoding.UTF8, "application/json"),
        };
        using var response = await fixture.Gateway.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Token);
        // Responses and v2 have sent their first events before the provider responds, so their errors are events.
        var hasEvents = stream && HasEventsFirst(client);
        var body = hasEvents ? ResponseText.Of(await SeenStream.ReadAsync(response, Token)) : ResponseText.Of(await response.Content.ReadAsStringAsync(Token));
        body = body.Replace(ErrorTranslationFixture.ModelOf(kind, client, stream), upstream, StringComparison.Ordinal);
        foreach (var secret in (string[])["secret-host", "org-9a8b7c", "sk-proj"]) Assert.DoesNotContain(secret, body, StringComparison.Ordinal);

        var head = new StringBuilder().Append((int)response.StatusCode).Append('\n');
        foreach (var name in (string[])["Retry-After", "retry-after-ms", "x-should-retry"])
        {
            if (response.Headers.TryGetValues(name, out var values)) head.Append(name).Append(": ").AppendJoin(", ", values).Append('\n');
        }
        var text = head.Append('\n').Append(body).ToString();
        var path = Path.Combine(Folder, FileName(kind, client, stream));
        // Errors before the first event are the same with and without streaming, so both share a file (see FileName).
        GoldenFile.MatchesAt(path, text);
    }

    /// <summary>The row of errors in the mapping between OpenAI chat and Anthropic, in both directions.</summary>
    [Theory]
    [InlineData("anthropic.overloaded", "chat", 503, "3")]
    [InlineData("anthropic.timeout", "chat", 504, null)]
    [InlineData("anthropic.billing", "chat", 503, null)]
    [InlineData("anthropic.too-large", "chat", 413, null)]
    [InlineData("openai.overloaded", "messages", 529, "3")]
    [InlineData("openai.timeout", "messages", 504, null)]
    [InlineData("openai.quota", "messages", 529, null)]
    [InlineData("openai.too-large", "messages", 413, null)]
    public async Task ErrorMapping_EachRow_KeepsStatusAndRetryAfter(string kind, string client, int status, string? wait)
    {
        var lines = await File.ReadAllLinesAsync(Path.Combine(Folder, $"{kind}-to-{client}.golden"), Token);
        Assert.Equal($"{status}", lines[0]);
        Assert.Equal(wait, lines.FirstOrDefault(line => line.StartsWith("Retry-After: ", StringComparison.Ordinal))?["Retry-After: ".Length..]);
    }

    [Fact]
    public void GoldenFiles_All_BelongToTestCase() =>
        Assert.Equal(
            Cases.Select(c => c.Data).Select(c => FileName(c.Item1, c.Item2, c.Item3)).Distinct().Order(StringComparer.Ordinal),
            Directory.GetFiles(Folder, "*.golden").Select(Path.GetFileName).Order(StringComparer.Ordinal));

    private static bool HasEventsFirst(string client) => client is "responses" or "v2";

    private static string FileName(string kind, string client, bool stream) => stream && HasEventsFirst(client) ? $"{kind}-to-{client}.stream.golden" : $"{kind}-to-{client}.golden";

    internal static IEnumerable<string> Kinds() => Directory.GetFiles(Folder, "*.response.json").Select(file => Path.GetFileName(file)[..^".response.json".Length]).Order(StringComparer.Ordinal);
}

/// <summary>A gateway whose providers all return one error.</summary>
public sealed class ErrorTranslationFixture : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;

    public TestGateway Gateway { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        const string Model = "contextWindow: 8000, maxOutputTokens: 2000, tokenizer: o200k, prices: { input: 1, output: 10 }, capabilities: { tools: true }";
        Gateway = await TestGateway.StartAsync(
            $$"""
            fairlead:
              retry: { maxRetries: 0 }
              breaker: { enabled: false }
              providers:
                oa: { kind: openai, baseUrl: {{_upstream.Url}}/v1, apiKey: k }
                an: { kind: anthropic, baseUrl: {{_upstream.Url}}, apiKey: k }
                ge: { kind: gemini, baseUrl: {{_upstream.Url}}, apiKey: k }
              models:
            {{string.Join('\n', ErrorTranslationTests.Cases.Select(c => ModelOf(c.Data.Item1, c.Data.Item2, c.Data.Item3)).Select(name => $"    {name}: {{ {Model}, deployments: [{{ provider: {name[..2]}, model: up-{name} }}] }}"))}}
            """);
    }

    /// <summary>Each case has a model and deployment of its own, because a deployment is left alone for as long as a response says.</summary>
    public static string ModelOf(string kind, string client, bool stream) =>
        string.Concat(kind.AsSpan(0, 2).ToString().Replace("op", "oa", StringComparison.Ordinal), "-", kind.Replace('.', '-'), "-", client, stream ? "-stream" : "-whole");

    /// <summary>From now on every provider returns <paramref name="response"/>.</summary>
    public void Serve(JsonNode response) => _upstream.Answer = context =>
    {
        if (response["retry_after"] is { } wait) context.Response.Headers.RetryAfter = wait.GetValue<string>();
        return FakeUpstream.Json(context, response["body"]!.ToJsonString(), response["status"]!.GetValue<int>());
    };

    public async ValueTask DisposeAsync()
    {
        await Gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }
}
