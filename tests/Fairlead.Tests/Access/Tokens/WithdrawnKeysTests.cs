using Fairlead.Access.Tokens;
using Fairlead.Errors;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Access.Tokens;

/// <summary>Signing keys that an issuer does not have any more, with tokens that are valid for decades.</summary>
public sealed class WithdrawnKeysTests
{
    [Fact]
    public async Task Authenticate_KnownTokenOfAWithdrawnKey_IsRefusedWithinAnHour()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        var token = LongToken(world, "ada");
        Assert.NotNull((await world.AuthenticateAsync(token)).Caller);
        world.Issuer.Rotate("k2", keepsOld: false);
        world.Access.Time.Advance(IssuerKeys.MaxAge);
        Assert.Equal(ErrorCode.InvalidApiKey, (await world.AuthenticateAsync(token)).Error?.Code);
    }

    [Fact]
    public async Task Authenticate_KnownTokenOfAWithdrawnKey_IsRefusedAsSoonAsTheKeysAreRead()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        var token = LongToken(world, "ada");
        Assert.NotNull((await world.AuthenticateAsync(token)).Caller);
        world.Issuer.Rotate("k2", keepsOld: false);
        world.Access.Time.Advance(IssuerKeys.MinInterval);
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token())).Caller);
        Assert.Equal(ErrorCode.InvalidApiKey, (await world.AuthenticateAsync(token)).Error?.Code);
    }

    /// <summary>The first token after an hour is not verified with the keys of an hour ago.</summary>
    [Fact]
    public async Task Authenticate_NewTokenOfAWithdrawnKey_WaitsForTheKeysAndIsRefused()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token())).Caller);
        var late = LongToken(world, "grace");
        world.Issuer.Rotate("k2", keepsOld: false);
        world.Access.Time.Advance(IssuerKeys.MaxAge);
        Assert.Equal(ErrorCode.InvalidApiKey, (await world.AuthenticateAsync(late)).Error?.Code);
    }

    [Fact]
    public async Task Authenticate_IssuerUnavailableForADay_IsStoreUnavailable()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        var token = LongToken(world, "ada");
        Assert.NotNull((await world.AuthenticateAsync(token)).Caller);
        world.Issuer.IsDown = true;
        world.Access.Time.Advance(IssuerKeys.MaxUnread - TimeSpan.FromSeconds(1));
        Assert.NotNull((await world.AuthenticateAsync(token)).Caller);
        Assert.NotNull((await world.AuthenticateAsync(LongToken(world, "grace"))).Caller);
        world.Access.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(ErrorCode.StoreUnavailable, (await world.AuthenticateAsync(token)).Error?.Code);
        // Nor does a change of other settings make the keys younger.
        world.Configure(issuer => issuer with { ClockSkew = TimeSpan.Zero });
        Assert.Equal(ErrorCode.StoreUnavailable, (await world.AuthenticateAsync(token)).Error?.Code);

        world.Issuer.IsDown = false;
        world.Access.Time.Advance(IssuerKeys.MinInterval);
        Assert.NotNull((await world.AuthenticateAsync(token)).Caller);
    }

    /// <summary>Reading the same keys again costs the tokens nothing; one that is known too long is verified again.</summary>
    [Fact]
    public async Task Authenticate_SameKeysReadAgain_KnowsTheTokensFromBefore()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token())).Caller);
        world.Access.Time.Advance(IssuerKeys.MaxAge / 2);
        var token = LongToken(world, "grace");
        var caller = (await world.AuthenticateAsync(token)).Caller;
        Assert.NotNull(caller);
        world.Access.Time.Advance(IssuerKeys.MaxAge / 2);
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token())).Caller);
        Assert.Equal(2, world.Issuer.Reads);
        Assert.Same(caller, world.Tokens.Find(token)?.Caller);

        world.Access.Time.Advance(TokenCallers.MaxKeptTime / 2);
        Assert.Null(world.Tokens.Find(token));
        Assert.NotNull((await world.AuthenticateAsync(token)).Caller);
    }

    // Until 2090.
    private static string LongToken(TokenWorld world, string subject) => world.Issuer.Token(claims =>
    {
        claims["sub"] = subject;
        claims["exp"] = 3_786_912_000;
    });
}
