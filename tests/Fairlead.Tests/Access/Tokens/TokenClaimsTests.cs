using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Access.Tokens;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Access.Tokens;

/// <summary>What an issuer may say, and what it must not be taken for.</summary>
public sealed class TokenClaimsTests
{
    [Theory]
    [InlineData(null, "", true)]
    [InlineData("any", "", true)]
    [InlineData("org_1", "", true)]
    [InlineData("org_1", "proj_1", true)]
    [InlineData(null, "proj_1", true)]
    [InlineData("org_2", "", false)]
    [InlineData("org_2", "proj_1", false)]
    [InlineData("any", "proj_2", false)]
    public async Task Authenticate_ProjectOfAnotherOrganization_IsRefused(string? organization, string projects, bool isAllowed)
    {
        await using var world = await new TokenWorld(issuer => issuer with
        {
            Project = null, Organization = organization, Projects = projects.Length == 0 ? [] : [projects], Claims = new ClaimNames { Project = "project" },
        }).PreparedAsync();
        var result = await world.AuthenticateAsync(world.Issuer.Token(claims => claims["project"] = TokenWorld.ProjectId));
        var unknown = (await world.AuthenticateAsync(world.Issuer.Token(claims => claims["project"] = "proj_none"))).Error!;
        Assert.Equal(isAllowed, result.Caller is not null);
        if (!isAllowed) Assert.Equal((ErrorCode.InsufficientScope, unknown.Message), (result.Error!.Code, result.Error.Message));
        // Work that was accepted before the settings were narrowed.
        Assert.Equal(isAllowed, world.Tokens.Find("key_oidc_company_ada", TokenWorld.ProjectId) is not null);
    }

    [Theory]
    [InlineData("org_1", "", "org_1", true)]
    [InlineData("org_1", "", "org_2", false)]
    [InlineData("org_1", "", null, true)]
    [InlineData("any", "", "org_2", true)]
    [InlineData(null, "proj_1", "org_1", true)]
    [InlineData(null, "proj_1", "org_2", false)]
    public async Task Authenticate_AdministratorOfAnotherOrganization_IsRefused(string? organization, string projects, string? claimed, bool isAllowed)
    {
        await using var world = await new TokenWorld(issuer => issuer with
        {
            Organization = organization, Projects = projects.Length == 0 ? [] : [projects],
            Roles = new Dictionary<string, string> { ["leads"] = "organization_admin" },
            Claims = new ClaimNames { Role = "groups", Organization = "org" },
        }).PreparedAsync();
        var result = await world.AuthenticateAsync(world.Issuer.Token(claims =>
        {
            claims["groups"] = "leads";
            if (claimed is not null) claims["org"] = claimed;
        }));
        Assert.Equal(isAllowed ? new AdminGrant(AdminRole.OrganizationAdmin, claimed ?? "org_1") : null, result.Caller?.Admin);
        if (!isAllowed) Assert.Equal(ErrorCode.InsufficientScope, result.Error?.Code);
    }

    [Fact]
    public void Rules_ClaimThatChoosesWithoutBound_IsAnError()
    {
        string[] Faults(IssuerConfig issuer) => [.. new AuthenticationConfigRules().Check(new GatewayConfiguration().With(
            new AuthenticationConfig { Oidc = new Dictionary<string, IssuerConfig> { ["b"] = issuer with { Issuer = "https://b.example", Audiences = ["x"] } } }))
            .Select(error => error.Key)];
        var chooses = new IssuerConfig { Claims = new ClaimNames { Project = "project" } };
        Assert.Equal(["fairlead.authentication.oidc.b.organization"], Faults(chooses));
        Assert.Equal(["fairlead.authentication.oidc.b.organization"], Faults(new IssuerConfig { Claims = new ClaimNames { Organization = "org" } }));
        Assert.Empty(Faults(chooses with { Organization = "org_1" }));
        Assert.Empty(Faults(chooses with { Organization = IssuerConfig.AnyOrganization }));
        Assert.Empty(Faults(chooses with { Projects = ["proj_1"] }));
        Assert.Empty(Faults(new IssuerConfig { Project = "proj_1" }));
        Assert.Equal(["fairlead.authentication.oidc.b.project"], Faults(chooses with { Projects = ["proj_1"], Project = "proj_2" }));
    }

    [Theory]
    [InlineData("\"proj_1\"", true)]
    [InlineData("[\"proj_1\"]", true)]
    [InlineData("null", true)]
    [InlineData("7", false)]
    [InlineData("true", false)]
    [InlineData("\"\"", false)]
    [InlineData("{}", false)]
    [InlineData("[]", false)]
    [InlineData("[7]", false)]
    [InlineData("[\"proj_1\",\"proj_2\"]", false)]
    public async Task Authenticate_ClaimOfAnotherType_IsNotReplacedByTheDefault(string value, bool isAllowed)
    {
        await using var world = await new TokenWorld(issuer => issuer with { Claims = new ClaimNames { Project = "project" } }).PreparedAsync();
        var result = await world.AuthenticateAsync(world.Issuer.Token(claims => claims["project"] = JsonNode.Parse(value)));
        Assert.Equal(isAllowed ? TokenWorld.ProjectId : null, result.Caller?.ProjectId);
        if (!isAllowed) Assert.Equal(ErrorCode.InsufficientScope, result.Error?.Code);

        world.Configure(issuer => issuer with
        {
            Roles = new Dictionary<string, string> { ["leads"] = "organization_admin" }, Claims = new ClaimNames { Role = "groups", Organization = "org" },
        });
        var admin = await world.AuthenticateAsync(world.Issuer.Token(claims => { claims["groups"] = "leads"; claims["org"] = JsonNode.Parse(value); }));
        Assert.Equal(isAllowed, admin.Caller is not null);
    }

    [Fact]
    public async Task Authenticate_ClaimAbsent_UsesTheDefault()
    {
        await using var world = await new TokenWorld(issuer => issuer with { Claims = new ClaimNames { Project = "project" } }).PreparedAsync();
        Assert.Equal(TokenWorld.ProjectId, (await world.AuthenticateAsync(world.Issuer.Token())).Caller?.ProjectId);
    }

    [Theory]
    [InlineData("groups", """{"groups":"Product owner"}""", null)]
    [InlineData("groups", """{"groups":["Product owner"]}""", null)]
    [InlineData("groups", """{"groups":"owner"}""", "owner")]
    [InlineData("groups", """{"groups":["x","owner"]}""", "owner")]
    [InlineData("groups", """{"groups":"Team leads"}""", "auditor")]
    [InlineData("realm_access.roles", """{"realm_access.roles":["owner"]}""", null)]
    [InlineData("realm_access.roles", """{"realm_access.roles":["owner"],"realm_access":{"roles":["Team leads"]}}""", "auditor")]
    [InlineData("kubernetes\\.io.role", """{"kubernetes.io":{"role":"owner"}}""", "owner")]
    [InlineData("https://a.example/roles", """{"https://a.example/roles":["owner"]}""", "owner")]
    public async Task Authenticate_RoleClaim_IsComparedAsAWhole(string claim, string claims, string? role)
    {
        await using var world = await new TokenWorld(issuer => issuer with
        {
            Roles = new Dictionary<string, string> { ["owner"] = "owner", ["Team leads"] = "auditor" }, Claims = new ClaimNames { Role = claim },
        }).PreparedAsync();
        var caller = (await world.AuthenticateAsync(world.Issuer.Token(token =>
        {
            foreach (var (name, value) in JsonNode.Parse(claims)!.AsObject()) token[name] = value?.DeepClone();
        }))).Caller;
        Assert.NotNull(caller);
        Assert.Equal(role, caller.Admin is { } admin ? AdminRoles.NameOf(admin.Role) : null);
    }

    /// <summary>The last second that a date can have, with the allowed difference of clocks after it.</summary>
    [Fact]
    public async Task Authenticate_LastExpiryThereIs_IsAccepted()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token(claims => claims["exp"] = 253_402_300_799))).Caller);
    }

    [Theory]
    [InlineData("\"name\":\"\\ud800\"")]
    [InlineData("\"scope\":\"\\ud800\"")]
    [InlineData("\"scope\":[\"\\udc00\"]")]
    [InlineData("\"groups\":[\"x\",\"\\ud800\"]")]
    [InlineData("\"project\":\"\\ud800\"")]
    public async Task Authenticate_HalfOfASurrogatePair_IsRefused(string claim)
    {
        await using var world = await new TokenWorld(issuer => issuer with
        {
            Roles = new Dictionary<string, string> { ["x"] = "auditor" },
            Claims = new ClaimNames { Name = "name", Scopes = "scope", Role = "groups", Project = "project" },
        }).PreparedAsync();
        var token = world.Issuer.Sign($$"""{"iss":"{{world.Issuer.Url}}","aud":"fairlead","sub":"ada","exp":4000000000,{{claim}}}""");
        Assert.Equal(ErrorCode.InvalidApiKey, (await world.AuthenticateAsync(token)).Error?.Code);
    }

    [Fact]
    public async Task Authenticate_RefusedSubject_IsRefusedAlsoIfItsTokenIsKnown()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        var (ada, grace, long_) = (world.Issuer.Token(), Token("grace"), Token("Ada Lovelace"));
        foreach (var token in (string[])[ada, grace, long_]) Assert.NotNull((await world.AuthenticateAsync(token)).Caller);

        var hashed = TokenKeyId.Of("company", "Ada Lovelace");
        world.Configure(issuer => issuer with { RefusedSubjects = ["ada", hashed["key_oidc_company_".Length..]] });
        Assert.Equal(ErrorCode.KeyRevoked, (await world.AuthenticateAsync(ada)).Error?.Code);
        Assert.Equal(ErrorCode.KeyRevoked, (await world.AuthenticateAsync(long_)).Error?.Code);
        Assert.NotNull((await world.AuthenticateAsync(grace)).Caller);
        Assert.Null(world.Tokens.Find("key_oidc_company_ada", TokenWorld.ProjectId));
        Assert.Null(world.Tokens.Find(hashed, TokenWorld.ProjectId));
        Assert.NotNull(world.Tokens.Find("key_oidc_company_grace", TokenWorld.ProjectId));

        world.Configure(issuer => issuer with { RefusedSubjects = ["Ada Lovelace"] });
        Assert.Equal(ErrorCode.KeyRevoked, (await world.AuthenticateAsync(long_)).Error?.Code);
        Assert.NotNull((await world.AuthenticateAsync(ada)).Caller);

        string Token(string subject) => world.Issuer.Token(claims => claims["sub"] = subject);
    }
}
