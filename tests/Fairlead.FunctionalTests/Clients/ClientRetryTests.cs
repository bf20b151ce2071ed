using System.ClientModel;
using System.ClientModel.Primitives;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json;
using Anthropic;
using Anthropic.Exceptions;
using Anthropic.Models.Messages;
using Fairlead.Errors;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Limits;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Tests.Common;
using Microsoft.Extensions.DependencyInjection;
using OpenAI;
using OpenAI.Chat;

namespace Fairlead.FunctionalTests.Clients;

/// <summary>
/// Official clients with their own retries. The model <c>once</c> is refused by a limit for the first call of each key, and served after
/// <see cref="Wait"/>; the model <c>never</c> is refused for longer than a client may wait.
/// </summary>
public sealed class ClientRetryTests : IAsyncLifetime
{
    /// <summary>Longer than the first pause of each client without a header, so that a wait of this length shows that it was obeyed.</summary>
    private static readonly TimeSpan Wait = TimeSpan.FromMilliseconds(900);

    private readonly ConcurrentDictionary<string, ConcurrentQueue<long>> _arrivals = new(StringComparer.Ordinal);
    private TestGateway _gateway = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _gateway = await TestGateway.StartAsync(
        """
        fairlead:
          models:
            once: { contextWindow: 8000, deployments: [{ provider: simulated, model: sim-echo }] }
            never: { contextWindow: 8000, deployments: [{ provider: simulated, model: sim-echo }] }
        """,
        (builder, _) => builder.Services.AddSingleton<ITokenLedger>(services =>
            new RefusingLedger(services.GetRequiredService<InMemoryTokenLedger>(), Refusal, call => [Requests(call)])));

    public ValueTask DisposeAsync() => _gateway.DisposeAsync();

    [Fact]
    public async Task NodeClients_WithRetries_DoAsTheHeadersSay()
    {
        var calls = new List<(string Client, string Key, string KeyId, string Model)>();
        foreach (var client in (string[])["openai chat", "openai stream", "openai responses", "anthropic 1", "anthropic 0"])
        {
            foreach (var model in (string[])["once", "never"])
            {
                var (key, id) = await _gateway.MakeKeyAsync("\"scopes\":[\"chat\"]");
                calls.Add((client, key, id, model));
            }
        }
        await RunNodeAsync(JsonSerializer.Serialize(calls.Select(call => new Dictionary<string, object>
        {
            ["client"] = call.Client, ["key"] = call.Key, ["model"] = call.Model, ["refused"] = call.Model == "never",
        })));
        foreach (var (client, _, id, model) in calls) Check(id, model, client);
    }

    [Theory]
    [InlineData("once")]
    [InlineData("never")]
    public async Task OpenAiDotNet_WithRetries_DoesAsTheHeadersSay(string model)
    {
        var (key, id) = await _gateway.MakeKeyAsync("\"scopes\":[\"chat\"]");
        var client = new ChatClient(model, new ApiKeyCredential(key), new OpenAIClientOptions { Endpoint = new Uri(_gateway.Url + "/v1"), RetryPolicy = new ClientRetryPolicy(1) });
        var call = client.CompleteChatAsync([new UserChatMessage("hi")], cancellationToken: Cancel);
        if (model == "once") Assert.Equal("hi", (await call).Value.Content[0].Text);
        else Assert.Equal(429, (await Assert.ThrowsAsync<ClientResultException>(() => call)).Status);
        // This client does not know `x-should-retry`: it repeats every 429. The guide says how to switch that off.
        Check(id, model, "NuGet OpenAI", refused: 2);
    }

    [Theory]
    [InlineData("once")]
    [InlineData("never")]
    public async Task AnthropicDotNet_WithRetries_DoesAsTheHeadersSay(string model)
    {
        var (key, id) = await _gateway.MakeKeyAsync("\"scopes\":[\"chat\"]");
        using var client = new AnthropicClient { ApiKey = key, AuthToken = null, BaseUrl = _gateway.Url, MaxRetries = 1, ResponseValidation = true };
        var call = client.Messages.Create(new MessageCreateParams { Model = model, MaxTokens = 20, Messages = [new UserMessageParam("hi")] }, Cancel);
        if (model == "once") Assert.True(Assert.Single((await call).Content).TryPickText(out _));
        else Assert.Equal(HttpStatusCode.TooManyRequests, (await Assert.ThrowsAsync<AnthropicRateLimitException>(() => call)).StatusCode);
        Check(id, model, "NuGet Anthropic");
    }

    /// <param name="keyId">The key of the calls.</param>
    /// <param name="model">The model that they call.</param>
    /// <param name="client">For the message.</param>
    /// <param name="refused">Requests that the client sends if it is refused for long.</param>
    private void Check(string keyId, string model, string client, int refused = 1)
    {
        var arrivals = _arrivals[keyId].ToArray();
        Assert.True(arrivals.Length == (model == "once" ? 2 : refused), $"{client} sent {arrivals.Length} requests to '{model}'.");
        if (model != "once") return;
        var waited = TimeProvider.System.GetElapsedTime(arrivals[0], arrivals[1]);
        Assert.True(waited >= Wait, $"{client} waited {waited}.");
    }

    private GatewayError? Refusal(GatewayCall call)
    {
        var arrivals = _arrivals.GetOrAdd(call.Caller.KeyId, _ => new ConcurrentQueue<long>());
        arrivals.Enqueue(TimeProvider.System.GetTimestamp());
        if (call.Model.Id == "never") return LimitErrors.Refusal(Requests(call), 1, TimeSpan.FromMinutes(2));
        return arrivals.Count > 1 ? null : LimitErrors.Refusal(Requests(call), 1, Wait);
    }

    private static LimitState Requests(GatewayCall call) =>
        new(LimitName.RequestsPerMinute, LimitScope.Key, call.Caller.KeyId, null, null, 60, 60, 0, 0, 60, call.Time.GetUtcNow().AddMinutes(1));

    private async Task RunNodeAsync(string calls)
    {
        var folder = Repository.PathOf("tests", "Fairlead.FunctionalTests", "Clients", "node");
        var start = new ProcessStartInfo(Path.Combine(folder, "node_modules", ".bin", "node"), ["retries.mjs"])
        {
            WorkingDirectory = folder,
            RedirectStandardError = true,
            StandardErrorEncoding = Encoding.UTF8,
        };
        start.Environment["FAIRLEAD_URL"] = _gateway.Url;
        start.Environment["FAIRLEAD_CALLS"] = calls;
        using var process = Process.Start(start)!;
        var errors = await process.StandardError.ReadToEndAsync(Cancel);
        await process.WaitForExitAsync(Cancel);
        Assert.True(process.ExitCode == 0, errors);
    }
}
