using System.Text;
using Fairlead.Access;
using Fairlead.Auditing.Spooling;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Limits;
using Fairlead.Errors;
using Fairlead.Idempotency;
using Fairlead.Limits;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Microsoft.AspNetCore.Http;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Fairlead.FunctionalTests.Errors;

/// <summary>Everything that can go wrong, ready to go wrong: gateways in several states, keys of every kind, a model server that fails on demand.</summary>
public sealed class ErrorWorld : IAsyncLifetime
{
    /// <summary>A header that makes the world's caller source throw: a bug in front of every endpoint.</summary>
    public const string BugHeader = "x-test-bug";

    public FakeUpstream Upstream { get; private set; } = null!;

    public TestGateway Gateway { get; private set; } = null!;

    /// <summary>Takes no new calls.</summary>
    public TestGateway Draining { get; private set; } = null!;

    /// <summary>Its spool's folder is gone.</summary>
    public TestGateway Spoolless { get; private set; } = null!;

    /// <summary>The tables of its database are gone.</summary>
    public TestGateway Storeless { get; private set; } = null!;

    /// <summary>Has used up its memory.</summary>
    public TestGateway Heavy { get; private set; } = null!;

    /// <summary>Has as many jobs in its queue as it may.</summary>
    public TestGateway Full { get; private set; } = null!;

    /// <summary>Its organizations may use no tokens.</summary>
    public TestGateway Poor { get; private set; } = null!;

    public CapturedLog Log { get; } = new();

    public string ExpiredKey { get; private set; } = "";

    public string RevokedKey { get; private set; } = "";

    /// <summary>May only read usage.</summary>
    public string NarrowKey { get; private set; } = "";

    /// <summary>May only use one model.</summary>
    public string OneModelKey { get; private set; } = "";

    /// <summary>May only be used from another address.</summary>
    public string ElsewhereKey { get; private set; } = "";

    /// <summary>May only use the class bulk.</summary>
    public string BulkKey { get; private set; } = "";

    /// <summary>Its content policy blocks a phrase.</summary>
    public string PolicyKey { get; private set; } = "";

    /// <summary>A call that has ended, and whose content is not stored.</summary>
    public string EndedGeneration { get; private set; } = "";

    /// <summary>
    /// An Idempotency-Key whose request never ends in this test world. The request has a body without stream for the simulated model.
    /// </summary>
    public static string BusyKey(Door door) => $"busy-{door.Name}";

    private async Task BindBusyKeysAsync()
    {
        var store = Gateway.Services.GetRequiredService<IdempotencyStore>();
        // Longer than any lease is a clock that was set back.
        var until = TimeProvider.System.GetUtcNow().AddMinutes(10);
        foreach (var door in Door.All.Where(door => door.Generates))
        {
            var body = Encoding.UTF8.GetBytes(door.Body(door.IsEmbeddings ? "sim-embed" : "sim-fast"));
            await store.TryBindAsync(Gateway.ProjectId, BusyKey(door), new BoundKey(RequestHash.Of(door.Path, body), "gen_busy", "another node", until, until, 0, null, false, null), TimeProvider.System.GetUtcNow(), CancellationToken.None);
        }
    }

    public async ValueTask InitializeAsync()
    {
        Upstream = await FakeUpstream.StartAsync();
        Gateway = await StartAsync();
        const string Usual = "\"scopes\":[\"chat\",\"embeddings\",\"models:read\",\"usage:read\"]";
        var expires = TimeProvider.System.GetUtcNow().AddSeconds(2);
        (ExpiredKey, _) = await Gateway.MakeKeyAsync($"{Usual},\"expires_at\":\"{expires:yyyy-MM-dd'T'HH:mm:ss.fff'Z'}\"");
        (RevokedKey, var revoked) = await Gateway.MakeKeyAsync(Usual);
        await Gateway.Admin.PostForJsonAsync($"/admin/v1/keys/{revoked}/revoke", "{}");
        (NarrowKey, _) = await Gateway.MakeKeyAsync("\"scopes\":[\"usage:read\"]");
        (OneModelKey, _) = await Gateway.MakeKeyAsync($"{Usual},\"models\":[\"sim-slow\"]");
        (ElsewhereKey, _) = await Gateway.MakeKeyAsync($"{Usual},\"addresses\":[\"192.0.2.0/24\"]");
        (PolicyKey, var policed) = await Gateway.MakeKeyAsync(Usual);
        await Gateway.Admin.PostForJsonAsync("/admin/v1/policies", $$"""{"name":"errors","key_id":"{{policed}}","rules":[{"id":"r","type":"words","words":["blocked phrase"],"action":"block"}]}""");
        (BulkKey, _) = await Gateway.MakeKeyAsync($"{Usual},\"classes\":[\"bulk\"]");

        using (var ended = await Gateway.Client.PostJsonAsync("/v1/chat/completions", Door.Chat.Body("sim-fast")))
            EndedGeneration = ended.Headers.GetValues("Fairlead-Generation").Single();

        await BindBusyKeysAsync();

        Draining = await StartAsync();
        Draining.Services.GetRequiredService<DrainState>().Begin();

        Heavy = await StartAsync();
        var memory = Heavy.Services.GetRequiredService<MemoryBudget>();
        memory.Take(memory.Limit);

        Full = await StartAsync(more: "  jobs: { workers: 0, maxQueuedPerProject: 1 }");
        using (var first = Post(Door.Chat, "sim-fast", Full.Key))
        using (var client = Full.MakeClient(null))
        {
            first.Headers.Add("Prefer", "respond-async");
            using var accepted = await client.SendAsync(first);
            Assert.Equal(System.Net.HttpStatusCode.Accepted, accepted.StatusCode);
        }

        Poor = await TestGateway.StartAsync(configure: (builder, _) => builder.Services.AddModelLimits(new LimitSet { TokensPerDay = 0 }));

        Storeless = await StartAsync();
        await using (var connection = new SqliteConnection($"Data Source={Path.Combine(Storeless.DataDirectory, "fairlead.db")};Pooling=False"))
        {
            await connection.OpenAsync();
            await using var command = connection.CreateCommand();
            command.CommandText = "ALTER TABLE organizations RENAME TO organizations_gone; ALTER TABLE usage_hours RENAME TO usage_hours_gone;";
            await command.ExecuteNonQueryAsync();
        }

        Spoolless = await StartAsync(smallSpool: true);
        Directory.Delete(Path.Combine(Spoolless.DataDirectory, "spool"), recursive: true);
        await UntilAsync(Spoolless, () => Post(Door.Chat, "sim-fast", Spoolless.Key), "store_unavailable");
        await UntilAsync(Gateway, () => Get("/v1/models", ExpiredKey), "key_expired");
        await UntilAsync(Gateway, () => Get("/v1/models", RevokedKey), "key_revoked");
    }

    public async ValueTask DisposeAsync()
    {
        await Gateway.DisposeAsync();
        await Draining.DisposeAsync();
        await Heavy.DisposeAsync();
        await Full.DisposeAsync();
        await Poor.DisposeAsync();
        await Storeless.DisposeAsync();
        await Spoolless.DisposeAsync();
        await Upstream.DisposeAsync();
    }

    private static HttpRequestMessage Get(string path, string key)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Add("x-api-key", key);
        return request;
    }

    private static HttpRequestMessage Post(Door door, string model, string key)
    {
        var request = Get(door.Path, key);
        request.Method = HttpMethod.Post;
        request.Content = new StringContent(door.Body(model), Encoding.UTF8, "application/json");
        return request;
    }

    private static async Task UntilAsync(TestGateway gateway, Func<HttpRequestMessage> make, string code)
    {
        using var client = gateway.MakeClient(null);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (true)
        {
            using var request = make();
            using var response = await client.SendAsync(request, limit.Token);
            if ((await response.Content.ReadAsStringAsync(limit.Token)).Contains(code, StringComparison.Ordinal)) return;
        }
    }

    private Task<TestGateway> StartAsync(bool smallSpool = false, string more = "") => TestGateway.StartAsync(
        $$"""
        fairlead:
          providers:
            up: { kind: openai, baseUrl: {{Upstream.Url}}/v1, apiKey: {{Secrets.UpstreamKey}} }
            cl: { kind: anthropic, baseUrl: {{Upstream.Url}}, apiKey: {{Secrets.UpstreamKey}} }
          models:
            tiny: { contextWindow: 60, maxOutputTokens: 20, tokenizer: o200k, capabilities: { logprobs: false }, modalities: { input: [text], output: [text] }, deployments: [{ provider: simulated, model: sim-fast }] }
            tiny-embed: { contextWindow: 60, deployments: [{ provider: simulated, model: sim-embed }] }
            gone: { lifecycle: { state: retired, replacement: sim-fast }, deployments: [{ provider: simulated, model: sim-fast }] }
            up: { contextWindow: 8000, maxOutputTokens: 2000, capabilities: { tools: true }, tokenizer: o200k, prices: { input: 1, output: 10 }, deployments: [{ provider: up, model: upstream-m }] }
            up-limited: { contextWindow: 8000, maxOutputTokens: 2000, capabilities: { tools: true }, tokenizer: o200k, prices: { input: 1, output: 10 }, deployments: [{ provider: up, model: upstream-m-limited }] }
            up-embed: { kind: embedding, contextWindow: 8000, tokenizer: o200k, prices: { input: 1, output: 0 }, deployments: [{ provider: up, model: upstream-e }] }
            up-embed-limited: { kind: embedding, contextWindow: 8000, tokenizer: o200k, prices: { input: 1, output: 0 }, deployments: [{ provider: up, model: upstream-e-limited }] }
            cl: { contextWindow: 8000, maxOutputTokens: 2000, capabilities: { tools: true }, tokenizer: claude, prices: { input: 1, output: 10 }, deployments: [{ provider: cl, model: upstream-c }] }
            cl-limited: { contextWindow: 8000, maxOutputTokens: 2000, capabilities: { tools: true }, tokenizer: claude, prices: { input: 1, output: 10 }, deployments: [{ provider: cl, model: upstream-c-limited }] }
          retry: { maxRetries: 0 }
          breaker: { enabled: false }
          requests: { maxBodyBytes: 64KiB }
        {{more}}
        """,
        (builder, _) =>
        {
            builder.Logging.SetMinimumLevel(LogLevel.Information).AddProvider(Log);
            builder.Services.AddSingleton<IModelSource>(new BadModel("bad", "chat"));
            builder.Services.AddSingleton<IModelSource>(new BadModel("bad-embed", "embedding"));
            builder.Services.AddSingleton<ICallerSource>(services => new CallersWithABug(ActivatorUtilities.CreateInstance<ApiKeyCallerSource>(services)));
            if (smallSpool)
            {
                builder.Services.AddSingleton(services => SpoolOptions.From(services.GetRequiredService<IConfigurationSource>().Current) with { SegmentBytes = 16 * 1024 });
            }
        });

    private sealed class CallersWithABug(ICallerSource inner) : ICallerSource
    {
        public ValueTask<AuthenticationResult> AuthenticateAsync(HttpContext context, string? scope) =>
            context.Request.Headers.ContainsKey(BugHeader) ? throw new InvalidOperationException($"A bug, near {Secrets.Host} in {Secrets.File}") : inner.AuthenticateAsync(context, scope);
    }

    private sealed class BadModel(string name, string kind) : IModelSource
    {
        public RegisteredModel Model { get; } = new(name, new ModelConfig { Kind = kind }, new BadProvider(name));
    }

    /// <summary>Throws what no provider should.</summary>
    private sealed class BadProvider(string name) : Provider(name, "bad")
    {
        public override bool Speaks(Dialect dialect) => dialect.Operation == Operation.CountTokens;

        public override ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken) =>
            throw new InvalidOperationException($"A bug, near {Secrets.Host} in {Secrets.File}");
    }
}
