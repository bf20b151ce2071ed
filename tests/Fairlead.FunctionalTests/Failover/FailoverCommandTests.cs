using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Fairlead.FunctionalTests.Documentation;
using Fairlead.Server.Failover;

namespace Fairlead.FunctionalTests.Failover;

/// <summary><c>fairlead test failover</c> as a process.</summary>
public sealed class FailoverCommandTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("fairlead-test-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task Failover_ConfigurationOfGuide_PassesEveryCase()
    {
        var yaml = Example.All.Single(example => example.Language == "yaml" && example.Place.StartsWith("docs/testing-failover.md", StringComparison.Ordinal)).Text;
        var results = await RunAsync(yaml, 0, "chat");
        Assert.Equal(FailoverCase.All.Count * 2, results.Count);
        Assert.Equal(FailoverCase.All.Select(test => test.Name), results.Select(result => result.GetProperty("case").GetString()!).Distinct());
        // Before the first content, the second provider saves every call.
        string[] mayFail = ["context_overflow", "content_rejection"];
        Assert.All(results, result => Assert.True(
            result.GetProperty("got").GetString() == "text" || result.GetProperty("stream").GetBoolean()
                || mayFail.Contains(result.GetProperty("case").GetString()), result.ToString()));
    }

    [Theory]
    [InlineData("chat", "first", "second", "third", "simulated")]
    [InlineData("messages", "first", "third")]
    [InlineData("responses", "first", "third")]
    public async Task Failover_AllKindsOfProviders_PassEveryCase(string api, params string[] models)
    {
        // Without names, all chat models are tested, but not those of embeddings.
        string[] arguments = models.Length == 4 ? [] : [.. models.SelectMany(model => (string[])["--model", model])];
        var results = await RunAsync("""
            fairlead:
              providers:
                google: { kind: gemini, apiKey: g }
                azure: { kind: azure, apiKey: a, baseUrl: https://name.openai.azure.com }
                dated: { kind: azure, apiKeys: [a, b], baseUrl: https://name.openai.azure.com, apiVersion: 2024-10-21 }
                local: { kind: vllm, baseUrl: http://10.1.2.3:8000/v1 }
                anthropic: { kind: anthropic, apiKey: sk-ant }
                fake: { kind: simulated, simulation: { faults: "status=500" } }
              models:
                first:
                  deployments: [{ provider: google, model: gemini-2.5-flash, priority: 1 }, { provider: azure, model: gpt-4o-mini, priority: 2 }]
                second:
                  contextWindow: 32000
                  maxOutputTokens: 4000
                  tokenizer: o200k
                  prices: { input: 1, output: 2 }
                  capabilities: { tools: true }
                  deployments: [{ provider: dated, model: our-deployment, priority: 1 }, { provider: local, model: open-model, priority: 2 }]
                third:
                  strategy: latency
                  deployments: [{ provider: anthropic, model: claude-haiku-4-5 }]
                simulated:
                  deployments: [{ provider: fake, model: sim-fast }]
                vectors:
                  deployments: [{ provider: azure, model: text-embedding-3-small }]
            """, 0, api, arguments);
        Assert.Equal(models, results.Select(result => result.GetProperty("model").GetString()!).Distinct());
        Assert.Equal(models.Length * 2 * FailoverCase.All.Count, results.Count);
    }

    [Theory]
    [InlineData("chat")]
    [InlineData("messages")]
    [InlineData("responses")]
    public async Task Failover_OneModelAtTwoProviders_RescuesStreams(string api)
    {
        var results = await RunAsync("""
            fairlead:
              providers:
                one: { kind: openai, apiKey: o, baseUrl: https://one.example/v1 }
                two: { kind: openai, apiKey: o, baseUrl: https://two.example/v1 }
                three: { kind: anthropic, apiKey: a, baseUrl: https://three.example }
                four: { kind: anthropic, apiKey: a, baseUrl: https://four.example }
              models:
                assistant:
                  deployments:
                    - { provider: one, model: gpt-4o-mini, priority: 1 }
                    - { provider: two, model: gpt-4o-mini, priority: 2, probe: { interval: 1s } }
                other:
                  deployments:
                    - { provider: three, model: claude-haiku-4-5, priority: 1 }
                    - { provider: four, model: claude-haiku-4-5, priority: 2 }
            """, 0, api, "--case", "cut", "--case", "stall", "--case", "malformed_event", "--case", "missing_end", "--case", "prefill_refused");
        Assert.Equal(20, results.Count);
        // An event that is no JSON is left out where nothing else is missing: the stream goes on, with one request.
        Assert.All(results, result => Assert.True(result.GetProperty("got").GetString()
            == (result.GetProperty("stream").GetBoolean() && result.GetProperty("requests").GetInt32() > 1 ? "rescued" : "text"), result.ToString()));
        Assert.All(results, result => Assert.True(
            result.GetProperty("requests").GetInt32() > 1 || !result.GetProperty("stream").GetBoolean()
                || result.GetProperty("case").GetString() == "malformed_event", result.ToString()));
    }

    [Fact]
    public async Task Failover_LargerModelAndContentFailover_MustServe()
    {
        var results = await RunAsync("""
            fairlead:
              providers:
                openai: { kind: openai, apiKey: o }
                anthropic: { kind: anthropic, apiKey: a }
              models:
                assistant:
                  onOverflow: larger
                  onContentRejection: failover
                  contextWindow: 32000
                  deployments: [{ provider: openai, model: gpt-4o-mini, priority: 1 }, { provider: anthropic, model: claude-haiku-4-5, priority: 2 }]
                larger:
                  deployments: [{ provider: anthropic, model: claude-sonnet-4-5 }]
            """, 0, "chat", "--model", "assistant", "--case", "context_overflow", "--case", "content_rejection");
        Assert.All(results, result => Assert.Equal("text", result.GetProperty("got").GetString()));
        Assert.Equal(4, results.Count);
    }

    [Fact]
    public async Task Failover_ProviderMustBeFasterThanItIs_Exits1()
    {
        var results = await RunAsync("""
            fairlead:
              providers:
                openai: { kind: openai, apiKey: o, timeouts: { firstToken: 700ms, response: 700ms } }
              models:
                m: { deployments: [{ provider: openai, model: gpt-4o-mini }] }
            """, 1, "chat", "--case", "slow_first_token", "--case", "one_500");
        Assert.Equal([("one_500", true), ("one_500", true), ("slow_first_token", false), ("slow_first_token", false)],
            results.Select(result => (result.GetProperty("case").GetString()!, result.GetProperty("passed").GetBoolean())));
        Assert.Contains("provider_timeout", results[^1].GetProperty("detail").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Failover_OneDeploymentWithoutRetries_ReportsClearErrors()
    {
        var results = await RunAsync("""
            fairlead:
              retry: { maxRetries: 0 }
              providers:
                openai: { kind: openai, apiKey: o }
              models:
                m: { deployments: [{ provider: openai, model: gpt-4o-mini }] }
            """, 0, "chat");
        Assert.Contains("rate_limit_exceeded", results[0].GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.All(results, result => Assert.NotEqual("wrong", result.GetProperty("got").GetString()));
    }

    [Theory]
    [InlineData("fairlead: { models: { m: { deployments: [{ provider: nobody, model: x }] } } }", 1, "nobody")]
    [InlineData("fairlead: { nonsense: 1 }", 1, "nonsense")]
    [InlineData("fairlead: {}", 1, "no-such-model", "--model", "no-such-model")]
    [InlineData("fairlead: {}", 2, "no_such_case", "--case", "no_such_case")]
    [InlineData("fairlead: {}", 2, "soap", "--api", "soap")]
    public async Task Failover_CannotRun_ExitsWithReason(string yaml, int exit, string reason, params string[] arguments)
    {
        var (code, output, error) = await StartAsync(yaml, arguments);
        Assert.Equal(exit, code);
        Assert.Contains(reason, error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at Fairlead.", output + error, StringComparison.Ordinal);
    }

    /// <summary>Everything that the configuration and the environment name is a server that must not get a connection.</summary>
    [Fact]
    public async Task Failover_EverythingElsewhereConfigured_OpensNoConnection()
    {
        using var trap = new TcpListener(IPAddress.Loopback, 0);
        trap.Start();
        var address = $"127.0.0.1:{((IPEndPoint)trap.LocalEndpoint).Port}";
        var yaml = $$"""
            fairlead:
              storage: { provider: postgres, connectionString: "Host=127.0.0.1;Port={{address.Split(':')[1]}};Username=u;Password=p;Database=d" }
              redis: { connectionString: "redis://{{address}}/0" }
              publicUrl: http://{{address}}
              providers:
                one: { kind: openai, apiKey: o, baseUrl: http://{{address}}/v1, headers: { x-secret: s } }
                two: { kind: anthropic, apiKey: a, baseUrl: http://{{address}} }
              models:
                m:
                  contextWindow: 32000
                  maxOutputTokens: 4000
                  tokenizer: o200k
                  prices: { input: 1, output: 2 }
                  capabilities: { tools: true }
                  deployments: [{ provider: one, model: x, priority: 1 }, { provider: two, model: y, priority: 2 }]
            """;
        var (code, output, error) = await StartAsync(yaml, ["--case", "one_500", "--case", "accounting", "--case", "cut"],
            ("HTTP_PROXY", $"http://{address}"), ("HTTPS_PROXY", $"http://{address}"), ("ALL_PROXY", $"http://{address}"), ("NO_PROXY", ""),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", $"http://{address}"), ("ASPNETCORE_URLS", "http://0.0.0.0:0"));
        Assert.True(code == 0, output + error);
        Assert.False(trap.Pending());
        // Nothing is written beside the configuration.
        Assert.Equal(["fairlead.yaml"], _folder.GetFileSystemInfos().Select(entry => entry.Name));
    }

    private async Task<List<JsonElement>> RunAsync(string yaml, int exit, string api, params string[] arguments)
    {
        var (code, output, error) = await StartAsync(yaml, ["--json", "--api", api, .. arguments]);
        Assert.True(code == exit, output + error);
        Assert.Equal("", error);
        using var document = JsonDocument.Parse(output);
        var results = document.RootElement.GetProperty("results").EnumerateArray().Select(result => result.Clone()).ToList();
        Assert.Equal(results.Count(result => !result.GetProperty("passed").GetBoolean()), document.RootElement.GetProperty("failed").GetInt32());
        return results;
    }

    private async Task<(int Code, string Output, string Error)> StartAsync(
        string yaml, string[] arguments, params (string Name, string Value)[] environment)
    {
        await File.WriteAllTextAsync(Path.Combine(_folder.FullName, "fairlead.yaml"), yaml, TestContext.Current.CancellationToken);
        await using var process = ServerProcess.Start(_folder.FullName, ["test", "failover", .. arguments], environment);
        var code = await process.ExitAsync();
        return (code, process.Output, process.Error);
    }
}
