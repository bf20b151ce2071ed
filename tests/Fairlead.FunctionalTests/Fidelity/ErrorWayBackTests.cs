using System.Text;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Fidelity;

/// <summary>
/// The way back of errors: what a provider answers (<c>Golden/Errors/UPSTREAM.KIND.answer.json</c>: status, body, and its <c>Retry-After</c>) beside what a client of each
/// dialect gets. Run with <c>UPDATE_GOLDEN=1</c> to write the files anew, then read the difference.
/// </summary>
public sealed class ErrorWayBackTests(ErrorWayBackFixture fixture) : IClassFixture<ErrorWayBackFixture>
{
    private static readonly string[] Clients = ["chat", "messages"];

    private static readonly string Folder = Path.Combine(Path.GetDirectoryName(WayBackFixture.Folder)!, "Errors");

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
    public async Task Error_OfAnUpstream_IsTheClientsGoldenFile(string kind, string client, bool stream)
    {
        var upstream = kind[..kind.IndexOf('.', StringComparison.Ordinal)];
        fixture.Serve(JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(Folder, kind + ".answer.json"), Token))!);
        using var request = new HttpRequestMessage(HttpMethod.Post, WayBackRequests.Path(client))
        {
            Content = new StringContent(WayBackRequests.Body("error", upstream, client, stream), Encoding.UTF8, "application/json"),
        };
        using var response = await fixture.Gateway.Client.SendAsync(request, Token);
        var body = await response.Content.ReadAsStringAsync(Token);
        foreach (var secret in (string[])["secret-host", "org-9a8b7c", "sk-proj"]) Assert.DoesNotContain(secret, body, StringComparison.Ordinal);

        var head = new StringBuilder().Append((int)response.StatusCode).Append('\n');
        foreach (var name in (string[])["Retry-After", "retry-after-ms", "x-should-retry"])
        {
            if (response.Headers.TryGetValues(name, out var values)) head.Append(name).Append(": ").AppendJoin(", ", values).Append('\n');
        }
        var text = head.Append('\n').Append(WayBackText.Of(body)).ToString();
        var path = Path.Combine(Folder, $"{kind}-to-{client}.golden");
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1") await File.WriteAllTextAsync(path, text, Token);
        // Before a stream has begun its errors are those of a whole answer: one file for both.
        Assert.Equal(await File.ReadAllTextAsync(path, Token), text);
    }

    /// <summary>The row of errors in the mapping between OpenAI chat and Anthropic, both ways.</summary>
    [Theory]
    [InlineData("anthropic.overloaded", "chat", 503, "3")]
    [InlineData("anthropic.timeout", "chat", 504, null)]
    [InlineData("anthropic.billing", "chat", 503, null)]
    [InlineData("anthropic.too-large", "chat", 413, null)]
    [InlineData("openai.overloaded", "messages", 529, "3")]
    [InlineData("openai.timeout", "messages", 504, null)]
    [InlineData("openai.quota", "messages", 529, null)]
    [InlineData("openai.too-large", "messages", 413, null)]
    public async Task Row_OfTheMapping_KeepsItsStatusAndWait(string kind, string client, int status, string? wait)
    {
        var lines = await File.ReadAllLinesAsync(Path.Combine(Folder, $"{kind}-to-{client}.golden"), Token);
        Assert.Equal($"{status}", lines[0]);
        Assert.Equal(wait, lines.FirstOrDefault(line => line.StartsWith("Retry-After: ", StringComparison.Ordinal))?["Retry-After: ".Length..]);
    }

    [Fact]
    public void GoldenFiles_AllBelongToACase() =>
        Assert.Equal(
            Kinds().SelectMany(kind => Clients.Select(client => $"{kind}-to-{client}.golden")).Order(StringComparer.Ordinal),
            Directory.GetFiles(Folder, "*.golden").Select(Path.GetFileName).Order(StringComparer.Ordinal));

    private static IEnumerable<string> Kinds() => Directory.GetFiles(Folder, "*.answer.json").Select(file => Path.GetFileName(file)[..^".answer.json".Length]).Order(StringComparer.Ordinal);
}

/// <summary>A gateway whose providers all answer with one error.</summary>
public sealed class ErrorWayBackFixture : IAsyncLifetime
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
              providers:
                oa: { kind: openai, baseUrl: {{_upstream.Url}}/v1, apiKey: k }
                an: { kind: anthropic, baseUrl: {{_upstream.Url}}, apiKey: k }
                ge: { kind: gemini, baseUrl: {{_upstream.Url}}, apiKey: k }
              models:
                openai: { {{Model}}, deployments: [{ provider: oa, model: gpt-up }] }
                anthropic: { {{Model}}, deployments: [{ provider: an, model: claude-up }] }
                gemini: { {{Model}}, deployments: [{ provider: ge, model: gemini-2.5-flash }] }
            """);
    }

    /// <summary>From now on every provider answers with <paramref name="answer"/>.</summary>
    public void Serve(JsonNode answer) => _upstream.Answer = context =>
    {
        if (answer["retry_after"] is { } wait) context.Response.Headers.RetryAfter = wait.GetValue<string>();
        return FakeUpstream.Json(context, answer["body"]!.ToJsonString(), answer["status"]!.GetValue<int>());
    };

    public async ValueTask DisposeAsync()
    {
        await Gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }
}
