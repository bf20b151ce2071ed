using Fairlead.Access;
using Fairlead.Access.Tokens;
using Fairlead.Configuration;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Access.Tokens;

/// <summary>Callers by tokens of one issuer, on a store with the project <c>proj_1</c> of <c>org_1</c>.</summary>
internal sealed class TokenWorld : IConfigurationSource, IAsyncDisposable
{
    public const string ProjectId = "proj_1";

    private readonly AccessFixture _access = new(StorageProvider.Sqlite);
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().AddSingleton<AccessMetrics>().BuildServiceProvider();

    public TokenWorld(Func<IssuerConfig, IssuerConfig>? change = null)
    {
        Issuer = new TestIssuer(_access.Time);
        Configure(change);
        Tokens = new TokenCallers(this, _access.Snapshots, new TokenVerifier(_access.Time), new IssuerKeyReader(Issuer, Issuer), _access.Time, NullLogger<TokenCallers>.Instance);
        WrongKeys = new WrongKeys(this, _services.GetRequiredService<AccessMetrics>(), _access.Time, NullLogger<WrongKeys>.Instance);
        Callers = new ApiKeyCallerSource(
            _access.Snapshots, new AdminKey(AccessFixture.AdminSecret), _access.Time, null, Tokens, WrongKeys);
    }

    public event Action<GatewayConfiguration>? Changed
    {
        add { }
        remove { }
    }

    public AccessFixture Access => _access;

    public TestIssuer Issuer { get; }

    public TokenCallers Tokens { get; }

    public WrongKeys WrongKeys { get; }

    public ApiKeyCallerSource Callers { get; }

    public GatewayConfiguration Current { get; private set; } = new();

    /// <summary>Replaces the settings of the issuer, as a reload does.</summary>
    public void Configure(Func<IssuerConfig, IssuerConfig>? change)
    {
        var issuer = new IssuerConfig { Issuer = Issuer.Url, Audiences = ["fairlead"], Project = ProjectId };
        if (change is not null) issuer = change(issuer);
        Current = Current.With(new AuthenticationConfig { Oidc = new Dictionary<string, IssuerConfig> { ["company"] = issuer } });
    }

    public void WithoutIssuers() => Current = Current.With(new AuthenticationConfig());

    public void SetWrongKeysPerMinute(int max) => Current = Current.With(Current.Authentication with { WrongKeysPerMinute = max });

    /// <summary>The store has its project with the first key.</summary>
    public async Task<TokenWorld> PreparedAsync()
    {
        await _access.AddKeyAsync();
        return this;
    }

    public ValueTask<AuthenticationResult> AuthenticateAsync(string token, string? scope = null, string? address = null) =>
        Callers.AuthenticateAsync(AccessFixture.Request(("Authorization", "Bearer " + token), address), scope);

    public async ValueTask DisposeAsync()
    {
        _access.Dispose();
        Issuer.Dispose();
        await _services.DisposeAsync();
    }
}
