using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Access.Tokens;
using Fairlead.Errors;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Access.Tokens;

public sealed class TokenCallersTests
{
    [Fact]
    public async Task Authenticate_ValidToken_IsACallerOfItsProject()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        var (caller, error) = await world.AuthenticateAsync(world.Issuer.Token(), Scopes.Chat);
        Assert.Null(error);
        Assert.Equal(("key_oidc_company_ada", "ada", "proj_1", "org_1", "Acme"), (caller!.KeyId, caller.KeyName, caller.ProjectId, caller.OrganizationId, caller.OrganizationName));
        Assert.Null(caller.Admin);
        Assert.Equal(ErrorCode.InsufficientScope, (await world.AuthenticateAsync(world.Issuer.Token(), Scopes.AdminRead)).Error?.Code);
    }

    [Theory]
    [InlineData("aud", "\"other\"", ErrorCode.InvalidApiKey, "another audience")]
    [InlineData("aud", "null", ErrorCode.InvalidApiKey, "another audience")]
    [InlineData("aud", "[]", ErrorCode.InvalidApiKey, "another audience")]
    [InlineData("iss", "\"https://evil.example\"", ErrorCode.InvalidApiKey, "issuer that this server does not accept")]
    [InlineData("iss", "null", ErrorCode.InvalidApiKey, "")]
    [InlineData("exp", "1", ErrorCode.KeyExpired, "expired")]
    [InlineData("exp", "null", ErrorCode.InvalidApiKey, "")]
    [InlineData("exp", "\"soon\"", ErrorCode.InvalidApiKey, "")]
    [InlineData("exp", "1e400", ErrorCode.InvalidApiKey, "")]
    [InlineData("exp", "-1", ErrorCode.KeyExpired, "")]
    [InlineData("nbf", "9999999999", ErrorCode.InvalidApiKey, "not valid yet")]
    [InlineData("sub", "null", ErrorCode.InvalidApiKey, "who calls")]
    [InlineData("sub", "\"\"", ErrorCode.InvalidApiKey, "who calls")]
    [InlineData("sub", "[\"ada\"]", ErrorCode.InvalidApiKey, "")]
    [InlineData("sub", "\"a\\u0000b\"", ErrorCode.InvalidApiKey, "who calls")]
    public async Task Authenticate_WrongClaim_IsRefused(string claim, string value, ErrorCode code, string message)
    {
        await using var world = await new TokenWorld().PreparedAsync();
        // As text, since a number like 1e400 has no other form.
        var good = world.Issuer.Token(claims => claims[claim] = "@");
        var payload = System.Text.Encoding.UTF8.GetString(System.Buffers.Text.Base64Url.DecodeFromChars(good.Split('.')[1]));
        var error = (await world.AuthenticateAsync(world.Issuer.Sign(payload.Replace("\"@\"", value, StringComparison.Ordinal)))).Error;
        Assert.Equal(code, error?.Code);
        Assert.Contains(message, error!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Authenticate_OtherKeyOrAlgorithm_IsRefused()
    {
        await using var world = await new TokenWorld(issuer => issuer with { Algorithms = ["RS256"] }).PreparedAsync();
        var good = world.Issuer.Token();
        Assert.NotNull((await world.AuthenticateAsync(good)).Caller);

        using var stranger = new TestIssuer(world.Access.Time);
        var parts = good.Split('.');
        string[] forged =
        [
            stranger.Token(),
            world.Issuer.HmacByPublicKey(),
            $"{TestIssuer.Encode("""{"alg":"none","typ":"JWT"}""")}.{parts[1]}.",
            $"{TestIssuer.Encode("""{"alg":"none","typ":"JWT"}""")}.{parts[1]}.{parts[2]}",
            world.Issuer.Token(changeHeader: header => header["alg"] = "RS512"),
            world.Issuer.Token(changeHeader: header => header["alg"] = "rs256"),
            world.Issuer.Token(changeHeader: header => header.Remove("alg")),
            $"{parts[0]}.{TestIssuer.Encode($$"""{"iss":"{{world.Issuer.Url}}","aud":"fairlead","sub":"root","exp":4000000000}""")}.{parts[2]}",
            $"{parts[0]}.{parts[1]}.{parts[2][..^4]}AAAA",
            $"{parts[0]}.{parts[1]}.",
        ];
        foreach (var token in forged)
            Assert.Equal(ErrorCode.InvalidApiKey, (await world.AuthenticateAsync(token)).Error?.Code);

        world.Issuer.Rotate("k2", elliptic: true);
        Assert.Equal(ErrorCode.InvalidApiKey, (await world.AuthenticateAsync(world.Issuer.Token())).Error?.Code);
        world.Configure(null);
        world.Access.Time.Advance(IssuerKeys.MinInterval);
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token())).Caller);
    }

    public static TheoryData<string> HostileTokens => new()
    {
        "eyJ.eyJ.x",
        "ey..",
        "eyJhbGciOiJSUzI1NiJ9..",
        "eyJhbGciOiJSUzI1NiJ9.bm90IGpzb24.AAAA",
        $"{TestIssuer.Encode("""{"alg":"RS256","alg":"none"}""")}.{TestIssuer.Encode("{}")}.AA",
        $"{TestIssuer.Encode("""{"alg":["RS256"]}""")}.{TestIssuer.Encode("{}")}.AA",
        $"{TestIssuer.Encode("""{"alg":"RS256"}""")}.{TestIssuer.Encode("[]")}.AA",
        $"{TestIssuer.Encode("""{"alg":"RS256"}""")}.{TestIssuer.Encode(new string('[', 10_000))}.AA",
        $"{TestIssuer.Encode("""{"alg":"RS256"}""")}.{TestIssuer.Encode(string.Concat(Enumerable.Repeat("{\"a\":", 2_000)) + "1" + new string('}', 2_000))}.AA",
        $"{TestIssuer.Encode("""{"alg":"RS256"}""")}.{TestIssuer.Encode("\"\\ud800\"")}.AA",
        "ey" + new string('a', 1_000_000) + "..",
        "eyJ" + string.Concat(Enumerable.Repeat("A", 30_000)) + ".AAAA.AAAA",
    };

    [Theory]
    [MemberData(nameof(HostileTokens))]
    public async Task Authenticate_HostileToken_IsRefusedWithoutAskingTheIssuer(string token)
    {
        await using var world = await new TokenWorld().PreparedAsync();
        Assert.Equal(ErrorCode.InvalidApiKey, (await world.AuthenticateAsync(token)).Error?.Code);
        Assert.Equal(0, world.Issuer.Reads);
    }

    /// <summary>With a right signature: the claims themselves are hostile.</summary>
    [Fact]
    public async Task Authenticate_SignedTokenWithDeepClaims_IsRefused()
    {
        await using var world = await new TokenWorld(issuer => issuer with { MaxTokenSize = 64 * 1024 }).PreparedAsync();
        var deep = string.Concat(Enumerable.Repeat("[", 10_000)) + new string(']', 10_000);
        var token = world.Issuer.Sign($$"""{"iss":"{{world.Issuer.Url}}","aud":"fairlead","sub":"ada","exp":4000000000,"x":{{deep}}}""");
        Assert.Equal(ErrorCode.InvalidApiKey, (await world.AuthenticateAsync(token)).Error?.Code);
    }

    [Fact]
    public async Task Authenticate_RotatedKey_IsReadOnce()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token())).Caller);
        world.Access.Time.Advance(IssuerKeys.MinInterval);
        world.Issuer.Rotate("k2");
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token())).Caller);
        Assert.Equal(2, world.Issuer.Reads);

        // Invented key ids cannot cause a read each.
        for (var i = 0; i < 50; i++)
        {
            var id = $"k{i + 10}";
            Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token(changeHeader: header => header["kid"] = id), address: $"10.0.{i}.1")).Error);
        }
        Assert.Equal(2, world.Issuer.Reads);
        world.Access.Time.Advance(IssuerKeys.MinInterval);
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token(changeHeader: header => header["kid"] = "k99"))).Error);
        Assert.Equal(3, world.Issuer.Reads);
    }

    [Fact]
    public async Task Authenticate_IssuerUnavailable_UsesTheKeysThatItHas()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        world.Issuer.IsDown = true;
        var first = (await world.AuthenticateAsync(world.Issuer.Token())).Error;
        Assert.Equal(ErrorCode.StoreUnavailable, first?.Code);
        Assert.NotNull(first!.RetryAfter);

        world.Issuer.IsDown = false;
        world.Access.Time.Advance(IssuerKeys.FirstInterval);
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token())).Caller);

        world.Issuer.IsDown = true;
        world.Access.Time.Advance(IssuerKeys.MaxAge);
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token(claims => claims["sub"] = "grace"))).Caller);
        // Also after a reload of the configuration.
        world.Configure(issuer => issuer with { ClockSkew = TimeSpan.FromSeconds(5) });
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token(claims => claims["sub"] = "linus"))).Caller);
    }

    [Theory]
    [InlineData("not json")]
    [InlineData("{}")]
    [InlineData("""{"keys":[]}""")]
    [InlineData("""{"keys":[{"kty":"oct","kid":"k1","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}]}""")]
    public async Task Authenticate_UnusableKeys_IsStoreUnavailable(string keys)
    {
        await using var world = await new TokenWorld().PreparedAsync();
        world.Issuer.Keys = keys;
        Assert.Equal(ErrorCode.StoreUnavailable, (await world.AuthenticateAsync(world.Issuer.Token())).Error?.Code);
    }

    /// <summary>A verified token needs no signature again until it expires: not even the issuer.</summary>
    [Fact]
    public async Task Authenticate_KnownToken_IsValidUntilItExpires()
    {
        await using var world = await new TokenWorld(issuer => issuer with { ClockSkew = TimeSpan.FromSeconds(30) }).PreparedAsync();
        var token = world.Issuer.Token();
        var first = (await world.AuthenticateAsync(token)).Caller;
        Assert.Same(first, (await world.AuthenticateAsync(token)).Caller);
        Assert.NotNull(world.Tokens.Find(token));

        world.Access.Time.Advance(TimeSpan.FromSeconds(629));
        Assert.Same(first, (await world.AuthenticateAsync(token)).Caller);
        world.Access.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(ErrorCode.KeyExpired, (await world.AuthenticateAsync(token)).Error?.Code);
    }

    [Fact]
    public async Task Authenticate_ClockSkew_IsAllowedInBothDirections()
    {
        await using var world = await new TokenWorld(issuer => issuer with { ClockSkew = TimeSpan.FromSeconds(30) }).PreparedAsync();
        var now = world.Access.Time.GetUtcNow().ToUnixTimeSeconds();
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token(claims => claims["nbf"] = now + 30))).Caller);
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token(claims => claims["nbf"] = now + 31))).Error);
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token(claims => { claims["nbf"] = now - 100; claims["exp"] = now - 29; }))).Caller);
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token(claims => { claims["nbf"] = now - 100; claims["exp"] = now - 30; }))).Error);
    }

    /// <summary>All ways to end tokens before they expire, also those that are known.</summary>
    [Fact]
    public async Task Authenticate_AfterRevocation_IsRefused()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        var token = world.Issuer.Token();
        Assert.NotNull((await world.AuthenticateAsync(token)).Caller);
        world.Configure(issuer => issuer with { IssuedAfter = world.Access.Time.GetUtcNow().AddSeconds(1) });
        Assert.Equal(ErrorCode.InvalidApiKey, (await world.AuthenticateAsync(token)).Error?.Code);
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token(claims => claims.Remove("iat")))).Error);
        world.Access.Time.Advance(TimeSpan.FromSeconds(2));
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token())).Caller);
        world.WithoutIssuers();
        Assert.Equal(ErrorCode.InvalidApiKey, (await world.AuthenticateAsync(world.Issuer.Token())).Error?.Code);
        Assert.Null(world.Tokens.Find("key_oidc_company_ada", TokenWorld.ProjectId));
    }

    [Fact]
    public async Task Authenticate_MappedClaims_GiveProjectScopesClassesAndRole()
    {
        await using var world = await new TokenWorld(issuer => issuer with
        {
            Project = null,
            Organization = IssuerConfig.AnyOrganization,
            Scopes = ["chat", "embeddings"],
            Classes = ["standard", "bulk"],
            Roles = new Dictionary<string, string> { ["admins"] = "operator", ["auditors"] = "auditor", ["leads"] = "organization_admin" },
            Claims = new ClaimNames
            {
                Name = "email", Project = "https://fairlead.example/project", Scopes = "scope", Classes = "classes", Role = "realm.groups", Organization = "org",
            },
        }).PreparedAsync();

        var caller = await CallerAsync(claims =>
        {
            claims["email"] = "ada@example.com";
            claims["https://fairlead.example/project"] = "proj_1";
            claims["scope"] = "openid chat batches admin:* *";
            claims["classes"] = new JsonArray("bulk", "realtime");
            claims["realm"] = new JsonObject { ["groups"] = new JsonArray("auditors", "admins", "owner", 7) };
        });
        Assert.Equal("ada@example.com", caller!.KeyName);
        Assert.Equal(["chat"], caller.Scopes);
        Assert.Equal(["bulk"], caller.Classes);
        Assert.Equal("bulk", caller.DefaultClass);
        Assert.Equal(new AdminGrant(AdminRole.Operator), caller.Admin);

        // An administrator without a project calls no models; others need one.
        var admin = await CallerAsync(claims => claims["realm"] = new JsonObject { ["groups"] = "auditors" });
        Assert.Equal((new AdminGrant(AdminRole.Auditor), false), (admin!.Admin, admin.HasScope(Scopes.Chat)));
        Assert.Equal(ErrorCode.InsufficientScope, (await world.AuthenticateAsync(world.Issuer.Token())).Error?.Code);
        Assert.Equal(ErrorCode.InsufficientScope, (await world.AuthenticateAsync(world.Issuer.Token(claims => claims["https://fairlead.example/project"] = "proj_none"))).Error?.Code);

        var lead = await CallerAsync(claims =>
        {
            claims["https://fairlead.example/project"] = "proj_1";
            claims["realm"] = new JsonObject { ["groups"] = "leads" };
        });
        Assert.Equal(new AdminGrant(AdminRole.OrganizationAdmin, "org_1"), lead!.Admin);
        var other = await CallerAsync(claims =>
        {
            claims["org"] = "org_7";
            claims["realm"] = new JsonObject { ["groups"] = "leads" };
        });
        Assert.Equal(new AdminGrant(AdminRole.OrganizationAdmin, "org_7"), other!.Admin);

        async Task<Caller?> CallerAsync(Action<JsonObject> change) => (await world.AuthenticateAsync(world.Issuer.Token(change))).Caller;
    }

    /// <summary>The issuer decides who calls; what a project may do is decided here, also for tokens that are known.</summary>
    [Fact]
    public async Task Authenticate_ProjectChanges_AppliesToKnownTokens()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        var token = world.Issuer.Token();
        var before = (await world.AuthenticateAsync(token)).Caller!;
        await using (var change = await world.Access.Changes.BeginAsync(TestContext.Current.CancellationToken))
        {
            var project = await ProjectTable.FindAsync(change.Connection, "proj_1", TestContext.Current.CancellationToken);
            await ProjectTable.UpdateAsync(change.Connection, project! with { Limits = """{"usd_per_day":1}""", Name = "Renamed" }, TestContext.Current.CancellationToken);
            await change.CommitAsync(TestContext.Current.CancellationToken);
        }
        await world.Access.Snapshots.ReloadAsync(TestContext.Current.CancellationToken);
        var after = (await world.AuthenticateAsync(token)).Caller!;
        Assert.Equal(("Search", "Renamed"), (before.ProjectName, after.ProjectName));
        Assert.NotSame(before.ProjectLimits, after.ProjectLimits);
    }

    [Fact]
    public void KeyId_OfASubject_IsReadableAndUnique()
    {
        Assert.Equal("key_oidc_company_ada@example.com", TokenKeyId.Of("company", "ada@example.com"));
        Assert.Equal("key_oidc_company_auth0|5f7c", TokenKeyId.Of("company", "auth0|5f7c"));
        var hashed = TokenKeyId.Of("company", "Ada Lovelace");
        Assert.StartsWith("key_oidc_company_sha256-", hashed, StringComparison.Ordinal);
        // Nobody becomes another caller by choosing its hash as the name.
        Assert.NotEqual(hashed, TokenKeyId.Of("company", hashed["key_oidc_company_".Length..]));
        Assert.True(TokenKeyId.Of("company", new string('ü', 500)).Length < 128);
    }

    [Fact]
    public async Task Authenticate_ManyTokens_KeepsALimitedNumber()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        world.Issuer.Rotate("k2", elliptic: true, keepsOld: false);
        string[] tokens = [.. Enumerable.Range(0, 30).Select(i => world.Issuer.Token(claims => claims["sub"] = $"user{i}"))];
        foreach (var token in tokens) Assert.NotNull((await world.AuthenticateAsync(token)).Caller);
        Assert.All(tokens, token => Assert.NotNull(world.Tokens.Find(token)));
    }

    /// <summary>A job runs without its request, and after a restart.</summary>
    [Fact]
    public async Task Find_ByKeyId_ReturnsTheCallerOfAJob()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        Assert.Equal("key_oidc_company_ada", world.Tokens.Find("key_oidc_company_ada", "proj_1")?.KeyId);
        Assert.Null(world.Tokens.Find("key_oidc_company_ada", "proj_none"));
        Assert.Null(world.Tokens.Find("key_oidc_other_ada", "proj_1"));
        Assert.Null(world.Tokens.Find("key_1", "proj_1"));
    }
}
