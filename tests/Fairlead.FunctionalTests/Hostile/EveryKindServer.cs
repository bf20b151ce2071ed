using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>The program as its own process, with a model behind each kind of provider: a request is translated to every form there is. The providers refuse what they get.</summary>
internal sealed class EveryKindServer : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("fairlead-every-kind").FullName;
    private readonly FakeUpstream _upstream;

    private EveryKindServer(FakeUpstream upstream) => _upstream = upstream;

    /// <summary>Models of the kinds openai, gemini and anthropic.</summary>
    public static IReadOnlyList<string> Models { get; } = ["native", "gemini", "claude"];

    public ServerProcess Server { get; private set; } = null!;

    public string Key { get; private set; } = "";

    /// <summary>What all providers send.</summary>
    public FakeUpstream Upstream => _upstream;

    public static async Task<EveryKindServer> StartAsync(string more = "")
    {
        var upstream = await FakeUpstream.StartAsync();
        upstream.Answer = context => FakeUpstream.Json(context, """{"error":{"message":"no","type":"invalid_request_error"}}""", 400);
        var made = new EveryKindServer(upstream);
        const string facts = "contextWindow: 40000000, maxOutputTokens: 2000, prices: { input: 0, output: 0 }, modalities: { input: [text, image, audio, pdf], output: [text] }, capabilities: { tools: true, jsonSchema: true, logprobs: true, reasoning: true, multipleChoices: true }";
        await File.WriteAllTextAsync(Path.Combine(made._folder, "fairlead.yaml"), $$"""
            fairlead:
              providers:
                oa: { kind: openai, baseUrl: {{upstream.Url}}/v1, apiKey: k }
                ge: { kind: gemini, baseUrl: {{upstream.Url}}, apiKey: k }
                an: { kind: anthropic, baseUrl: {{upstream.Url}}, apiKey: k }
              models:
                native: { {{facts}}, deployments: [{ provider: oa, model: m }] }
                gemini: { {{facts}}, deployments: [{ provider: ge, model: gemini-2.5-flash }] }
                claude: { {{facts}}, deployments: [{ provider: an, model: claude-sonnet-4-5 }] }
            {{more}}
            """, TestContext.Current.CancellationToken);
        made.Server = await ServerProcess.ServeAsync(made._folder);
        made.Key = await made.Server.ClientKeyAsync();
        return made;
    }

    public HttpClient MakeClient()
    {
        var client = new HttpClient { BaseAddress = new Uri(Server.Address), Timeout = TimeSpan.FromSeconds(200) };
        client.DefaultRequestHeaders.Authorization = new("Bearer", Key);
        return client;
    }

    public async ValueTask DisposeAsync()
    {
        if (Server is not null) await Server.DisposeAsync();
        await _upstream.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }
}
