using System.Runtime.CompilerServices;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;

namespace Fairlead.FunctionalTests.Fidelity;

/// <summary>A gateway whose models <c>openai</c>, <c>anthropic</c>, <c>gemini</c> and <c>chatclient</c> return the files of a row.</summary>
public sealed class TranslationFixture : IAsyncLifetime
{
    private readonly ScriptedChatClient _chatClient = new();

    public static string Folder { get; } = Find();

    public FakeUpstream Upstream { get; private set; } = null!;

    public TestGateway Gateway { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Upstream = await FakeUpstream.StartAsync();
        const string Model = "contextWindow: 8000, maxOutputTokens: 2000, tokenizer: o200k, prices: { input: 1, output: 10 }, modalities: { input: [text, image, pdf] }, capabilities: { tools: true, jsonSchema: true, logprobs: true, multipleChoices: true, reasoning: true }";
        Gateway = await TestGateway.StartAsync(
            $$"""
            fairlead:
              # The tests compare single events, so join none.
              stream: { batchTokens: 1 }
              breaker: { enabled: false }
              providers:
                oa: { kind: openai, baseUrl: {{Upstream.Url}}/v1, apiKey: k }
                an: { kind: anthropic, baseUrl: {{Upstream.Url}}, apiKey: k }
                ge: { kind: gemini, baseUrl: {{Upstream.Url}}, apiKey: k }
              models:
                openai: { {{Model}}, deployments: [{ provider: oa, model: gpt-up }] }
                anthropic: { {{Model}}, deployments: [{ provider: an, model: claude-up }] }
                gemini: { {{Model}}, deployments: [{ provider: ge, model: gemini-2.5-flash }] }
            """,
            (_, fairlead) => fairlead.AddChatModel("chatclient", _ => _chatClient, options =>
            {
                options.Tools = true;
                options.JsonSchema = true;
            }));
    }

    /// <summary>The body of the last request that reached an upstream.</summary>
    public JsonElement Asked => Upstream.Received.Last();

    /// <summary>From now on the models return the files of <paramref name="row"/>.</summary>
    public void Serve(string row, string upstream)
    {
        _chatClient.Row = row;
        var file = Path.Combine(Folder, row, upstream);
        Upstream.Answer = context =>
        {
            var streams = upstream == "gemini"
                ? context.Request.Path.Value!.EndsWith(":streamGenerateContent", StringComparison.Ordinal)
                : ((JsonElement)context.Items[FakeUpstream.RequestItem]!).TryGetProperty("stream", out var stream) && stream.ValueKind == JsonValueKind.True;
            return streams ? StreamAsync(context, file + ".events.txt", named: upstream == "anthropic") : FakeUpstream.Json(context, File.ReadAllText(file + ".response.json"));
        };
    }

    public async ValueTask DisposeAsync()
    {
        await Gateway.DisposeAsync();
        await Upstream.DisposeAsync();
    }

    private static async Task StreamAsync(HttpContext context, string file, bool named)
    {
        await FakeUpstream.BeginAsync(context);
        foreach (var data in await File.ReadAllLinesAsync(file, context.RequestAborted))
        {
            if (named)
            {
                using var json = JsonDocument.Parse(data);
                await context.Response.WriteAsync($"event: {json.RootElement.GetProperty("type").GetString()}\n", context.RequestAborted);
            }
            await FakeUpstream.SendAsync(context, data);
        }
    }

    private static string Find([CallerFilePath] string source = "") => Path.Combine(Path.GetDirectoryName(source)!, "Golden", "Responses");
}
