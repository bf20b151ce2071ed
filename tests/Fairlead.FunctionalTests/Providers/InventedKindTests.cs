using System.Text;
using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.FunctionalTests.Common;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Server.Documentation;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Providers;

/// <summary>A kind that only one registration knows is configured, documented and called like those that ship with Fairlead.</summary>
public sealed class InventedKindTests
{
    private const string Yaml = """
        fairlead:
          providers: { mine: { kind: invented } }
          models:
            m:
              contextWindow: 8000
              prices: { input: 1, output: 10 }
              capabilities: { tools: false }
              deployments: [{ provider: mine }]
        """;

    private static readonly ProviderKind Invented = new("invented", static (name, _, _) => new InventedProvider(name)) { TelemetryName = "invented.ai" };

    [Fact]
    public async Task Chat_CustomProviderKind_IsServedAndDocumented()
    {
        var cancel = TestContext.Current.CancellationToken;
        await using var gateway = await TestGateway.StartAsync(Yaml, (builder, _) => builder.Services.AddSingleton(Invented));
        using var body = new StringContent("""{"model":"m","messages":[{"role":"user","content":"hi"}]}""", Encoding.UTF8, "application/json");
        using var response = await gateway.Client.PostAsync(new Uri("/v1/chat/completions", UriKind.Relative), body, cancel);
        var text = await response.Content.ReadAsStringAsync(cancel);
        Assert.True(response.IsSuccessStatusCode, text);
        var root = JsonDocument.Parse(text).RootElement;
        Assert.Equal("from the invented kind", root.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());

        var keys = gateway.Services.GetRequiredService<ConfigKeys>();
        Assert.Contains("`simulated`, `invented` |", ConfigurationPage.Tables(keys), StringComparison.Ordinal);
        Assert.Contains("\"invented\"", ConfigurationSchema.Text(keys), StringComparison.Ordinal);
    }

    private sealed class InventedProvider(string name) : Provider(name, Invented)
    {
        public override bool Speaks(Dialect dialect) => false;

        public override ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
        {
            attempt.Sent = true;
            attempt.Meter.Finish(FinishReason.Stop, 0);
            attempt.Meter.ReportUsage(new Usage(1, 5));
            return new(new GatewayReply.Complete(new ModelResponse([new OutputChoice(0, [new TextPart("from the invented kind")], FinishReason.Stop)])));
        }
    }
}
