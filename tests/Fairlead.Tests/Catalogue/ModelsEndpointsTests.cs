using System.Collections.Frozen;
using System.Net;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Errors;
using Fairlead.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Catalogue;

public sealed class ModelsEndpointsTests : IAsyncDisposable
{
    private static readonly DateTimeOffset NewYear = new(2027, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private static readonly CatalogueModel[] Models =
    [
        Model("alpha") with { ContextWindow = 1000, MaxOutputTokens = 100, Prices = new ModelPrices(1.5m, 6m) { CachedInput = 0.15m } },
        Model("beta:free"),
        Model("org/gamma") with { Aliases = ["gamma"], Lifecycle = new ModelLifecycle(LifecycleState.Deprecated) { RetiresAt = new DateTimeOffset(2027, 1, 2, 0, 0, 0, TimeSpan.Zero), Replacement = "alpha" } },
        Model("dated") with
        {
            Prices = new PriceList([new(DateTimeOffset.MinValue, new ModelPrices(1, 1)), new(NewYear, new ModelPrices(2, 2) { ServiceTiers = new ServiceTierFactors([new("flex", 0.5m)]) })]),
            Lifecycle = new ModelLifecycle(LifecycleState.Retired),
        },
        Model("retired") with { Lifecycle = new ModelLifecycle(LifecycleState.Retired) },
    ];

    private readonly HttpClient _client = new();
    private readonly FakeTimeProvider _time = new(NewYear.AddTicks(-1));
    private WebApplication? _app;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task List_OpenAiFormat_ReturnsAvailableModels()
    {
        var (status, body) = await GetAsync("/v1/models");
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal("list", body["object"]!.GetValue<string>());
        Assert.Equal(["alpha", "beta:free", "org/gamma"], Ids(body));
        Assert.Equal("""{"id":"org/gamma","object":"model","created":1767225600,"owned_by":"maker","shutdown_date":"2027-01-02"}""", body["data"]![2]!.ToJsonString());
    }

    [Theory]
    [InlineData("/v1/models/alpha", "alpha")]
    [InlineData("/v1/models/beta:free", "beta:free")]
    [InlineData("/v1/models/beta%3Afree", "beta:free")]
    [InlineData("/v1/models/org/gamma", "org/gamma")]
    [InlineData("/v1/models/org%2Fgamma", "org/gamma")]
    [InlineData("/v1/models/org%2fgamma", "org/gamma")]
    [InlineData("/v1/models/gamma", "org/gamma")]
    [InlineData("/v2/models/org%2Fgamma", "org/gamma")]
    public async Task Get_EncodedOrAliasedModelId_ReturnsModel(string path, string id)
    {
        var (status, body) = await GetAsync(path);
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(id, body["id"]!.GetValue<string>());
    }

    [Fact]
    public async Task Get_UnknownModel_ReturnsModelNotFound()
    {
        var (status, body) = await GetAsync("/v1/models/none");
        Assert.Equal(HttpStatusCode.NotFound, status);
        Assert.Equal("model_not_found", body["error"]!["code"]!.GetValue<string>());
        Assert.Equal("model", body["error"]!["param"]!.GetValue<string>());
        Assert.Contains("The model `none` does not exist", body["error"]!["message"]!.GetValue<string>(), StringComparison.Ordinal);

        (status, body) = await GetAsync("/v1/models/none", anthropic: true);
        Assert.Equal(HttpStatusCode.NotFound, status);
        Assert.Equal("not_found_error", body["error"]!["type"]!.GetValue<string>());

        (status, body) = await GetAsync("/v2/models/none");
        Assert.Equal(HttpStatusCode.NotFound, status);
        Assert.Equal("model_not_found", body["code"]!.GetValue<string>());
    }

    [Fact]
    public async Task List_AnthropicFormat_Paginates()
    {
        var (_, body) = await GetAsync("/v1/models?limit=2", anthropic: true);
        Assert.Equal(["alpha", "beta:free"], Ids(body));
        Assert.True(body["has_more"]!.GetValue<bool>());
        Assert.Equal("beta:free", body["last_id"]!.GetValue<string>());
        Assert.Equal("2026-01-01T00:00:00Z", body["data"]![0]!["created_at"]!.GetValue<string>());
        Assert.Equal(1000, body["data"]![0]!["max_input_tokens"]!.GetValue<int>());
        Assert.Equal(100, body["data"]![0]!["max_tokens"]!.GetValue<int>());
        Assert.Null(body["data"]![1]!["max_tokens"]);

        (_, body) = await GetAsync("/v1/models?limit=2&after_id=beta:free", anthropic: true);
        Assert.Equal(["org/gamma"], Ids(body));
        Assert.False(body["has_more"]!.GetValue<bool>());

        (_, body) = await GetAsync("/v1/models?limit=1&before_id=org/gamma", anthropic: true);
        Assert.Equal(["beta:free"], Ids(body));
        Assert.True(body["has_more"]!.GetValue<bool>());
    }

    [Theory]
    [InlineData("/v1/models?limit=0", true)]
    [InlineData("/v1/models?limit=1001", true)]
    [InlineData("/v1/models?limit=x", true)]
    [InlineData("/v1/models?after_id=none", true)]
    [InlineData("/v1/models?before_id=none", true)]
    [InlineData("/v1/models?after_id=alpha&before_id=alpha", true)]
    [InlineData("/v2/models?limit=-1", false)]
    [InlineData("/v2/models?cursor=none", false)]
    public async Task List_InvalidPagination_Returns400(string path, bool anthropic) => Assert.Equal(HttpStatusCode.BadRequest, (await GetAsync(path, anthropic)).Status);

    [Fact]
    public async Task List_KeyWithModelAllowList_ReturnsOnlyAllowedModels()
    {
        var (_, body) = await GetAsync("/v1/models", key: "gamma-only");
        Assert.Equal(["org/gamma"], Ids(body));
        Assert.Equal(HttpStatusCode.NotFound, (await GetAsync("/v1/models/alpha", key: "gamma-only")).Status);
        Assert.Equal(HttpStatusCode.OK, (await GetAsync("/v1/models/gamma", key: "gamma-only")).Status);
        (_, body) = await GetAsync("/v2/models", key: "gamma-only");
        Assert.Equal(["org/gamma"], Ids(body));
    }

    [Fact]
    public async Task List_UnknownKey_Returns401()
    {
        var (status, body) = await GetAsync("/v1/models", key: "wrong");
        Assert.Equal(HttpStatusCode.Unauthorized, status);
        Assert.Equal("invalid_api_key", body["error"]!["code"]!.GetValue<string>());
    }

    [Fact]
    public async Task Get_V2_ShowsPricesInForce()
    {
        var (_, before) = await GetAsync("/v2/models/dated");
        Assert.Equal((1m, "{}"), ((decimal)before["prices"]!["input"]!, before["prices"]!["service_tiers"]!.ToJsonString()));
        // Without any change of the catalogue.
        _time.Advance(TimeSpan.FromTicks(1));
        var (_, after) = await GetAsync("/v2/models/dated");
        Assert.Equal((2m, """{"flex":0.5}"""), ((decimal)after["prices"]!["input"]!, after["prices"]!["service_tiers"]!.ToJsonString()));
    }

    [Fact]
    public async Task List_V2_ReturnsAllModelDetailsAndPaginates()
    {
        var (_, body) = await GetAsync("/v2/models?limit=1");
        var model = body["data"]![0]!;
        Assert.Equal(1.5m, model["prices"]!["input"]!.GetValue<decimal>());
        Assert.Equal(0.15m, model["prices"]!["cached_input"]!.GetValue<decimal>());
        Assert.Equal(1000, model["context_window"]!.GetValue<int>());
        Assert.Equal("active", model["lifecycle"]!["state"]!.GetValue<string>());
        Assert.Equal("up", model["deployments"]![0]!["provider"]!.GetValue<string>());
        Assert.Equal("alpha", body["next_cursor"]!.GetValue<string>());
        (_, body) = await GetAsync("/v2/models?cursor=alpha");
        Assert.Equal(["beta:free", "org/gamma"], Ids(body));
        Assert.Null(body["next_cursor"]);
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        if (_app is not null) await _app.DisposeAsync();
    }

    private static CatalogueModel Model(string id) => new()
    {
        Id = id,
        OwnedBy = "maker",
        CreatedAt = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero),
        Deployments = [new Deployment { Name = "up/" + id, ProviderName = "up", UpstreamModel = id }],
    };

    private static IEnumerable<string> Ids(JsonNode body) => body["data"]!.AsArray().Select(m => m!["id"]!.GetValue<string>());

    private async Task<(HttpStatusCode Status, JsonNode Body)> GetAsync(string path, bool anthropic = false, string key = "all")
    {
        if (_app is null)
        {
            var builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.UseKestrel().UseUrls("http://127.0.0.1:0");
            builder.Services.AddSingleton<TimeProvider>(_time);
            builder.Services.AddSingleton<ICatalogue>(new FixedCatalogue());
            builder.Services.AddSingleton<ICallerSource>(new FixedCallers());
            builder.Services.AddEndpoints();
            _app = builder.Build();
            ModelsEndpoints.Map(_app);
            await _app.StartAsync(Token);
        }
        var address = _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(address + path));
        request.Headers.Add("x-api-key", key);
        if (anthropic) request.Headers.Add("anthropic-version", "2023-06-01");
        using var response = await _client.SendAsync(request, Token);
        Assert.StartsWith("req_", response.Headers.GetValues("x-request-id").Single(), StringComparison.Ordinal);
        return (response.StatusCode, JsonNode.Parse(await response.Content.ReadAsStringAsync(Token))!);
    }

    private sealed class FixedCatalogue : ICatalogue, ICatalogueSnapshot
    {
        public ICatalogueSnapshot Current => this;

        IReadOnlyList<CatalogueModel> ICatalogueSnapshot.Models => ModelsEndpointsTests.Models;

        public CatalogueModel? Find(string name) => ModelsEndpointsTests.Models.FirstOrDefault(m => m.Id == name || m.Aliases.Contains(name));
    }

    private sealed class FixedCallers : ICallerSource
    {
        public ValueTask<AuthenticationResult> AuthenticateAsync(HttpContext context, string? scope)
        {
            Assert.Equal(Scopes.Models, scope);
            var key = context.Request.Headers["x-api-key"].ToString();
            if (key == "wrong") return new(new AuthenticationResult(null, new GatewayError(ErrorCode.InvalidApiKey, "The API key is not known.")));
            return new(new AuthenticationResult(new Caller
            {
                OrganizationId = "org_1",
                OrganizationName = "o",
                ProjectId = "proj_1",
                ProjectName = "p",
                KeyId = "key_1",
                KeyName = "k",
                Scopes = FrozenSet.ToFrozenSet(Scopes.Default),
                Models = key == "gamma-only" ? FrozenSet.ToFrozenSet(["gamma"]) : null,
            }, null));
        }
    }
}
