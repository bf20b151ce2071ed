using System.Net;
using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Tests.Access.Tokens;

namespace Fairlead.Tests.Access;

public sealed class WrongKeysTests
{
    [Theory]
    [InlineData("10.0.0.1", "10.0.0.1", true)]
    [InlineData("10.0.0.1", "::ffff:10.0.0.1", true)]
    [InlineData("10.0.0.1", "10.0.0.2", false)]
    [InlineData("2001:db8::1", "2001:db8::ffff:1", true)]
    [InlineData("2001:db8::1", "2001:db8:0:1::1", false)]
    [InlineData("0.0.0.6", "::6", false)]
    public async Task UnknownKey_AfterTwentyFromItsNetwork_Returns429(string first, string second, bool isSame)
    {
        await using var world = await new TokenWorld().PreparedAsync();
        for (var i = 0; i < 20; i++) Assert.Equal(ErrorCode.InvalidApiKey, (await world.AuthenticateAsync($"wrong{i}", address: first)).Error?.Code);
        var error = (await world.AuthenticateAsync("wrong", address: second)).Error!;
        Assert.Equal(isSame ? ErrorCode.RateLimitExceeded : ErrorCode.InvalidApiKey, error.Code);
        if (isSame) Assert.Equal(TimeSpan.FromMinutes(1), error.RetryAfter);
    }

    [Fact]
    public async Task KnownKeyAndToken_FromRefusedAddress_KeepWorking()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        var key = await world.Access.AddKeyAsync(id: "key_2");
        var token = world.Issuer.Token();
        for (var i = 0; i < 25; i++) await world.AuthenticateAsync(ApiKeyText.New().Text, address: "10.0.0.1");
        Assert.Equal(ErrorCode.RateLimitExceeded, (await world.AuthenticateAsync(ApiKeyText.New().Text, address: "10.0.0.1")).Error?.Code);
        Assert.Equal("key_2", (await world.AuthenticateAsync(key, address: "10.0.0.1")).Caller?.KeyId);
        Assert.NotNull((await world.AuthenticateAsync(AccessFixture.AdminSecret, address: "10.0.0.1")).Caller);
        Assert.NotNull((await world.AuthenticateAsync(token, address: "10.0.0.1")).Caller);
        Assert.NotNull((await world.AuthenticateAsync(token, address: "10.0.0.1")).Caller);
    }

    [Fact]
    public async Task Refusal_EndsAfterAMinuteWithoutWrongKeysBefore()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        var time = world.Access.Time;
        for (var i = 0; i < 19; i++) await RefusedAsync(ErrorCode.InvalidApiKey);
        time.Advance(TimeSpan.FromSeconds(59));
        await RefusedAsync(ErrorCode.InvalidApiKey);
        var wait = (await RefusedAsync(ErrorCode.RateLimitExceeded)).RetryAfter!.Value;
        time.Advance(TimeSpan.FromSeconds(30));
        Assert.Equal(wait - TimeSpan.FromSeconds(30), (await RefusedAsync(ErrorCode.RateLimitExceeded)).RetryAfter);
        time.Advance(TimeSpan.FromSeconds(30));
        for (var i = 0; i < 20; i++) await RefusedAsync(ErrorCode.InvalidApiKey);
        await RefusedAsync(ErrorCode.RateLimitExceeded);

        // Fewer than twenty in a minute are never refused.
        time.Advance(TimeSpan.FromMinutes(2));
        for (var i = 0; i < 60; i++)
        {
            await RefusedAsync(ErrorCode.InvalidApiKey);
            time.Advance(TimeSpan.FromSeconds(4));
        }

        async Task<GatewayError> RefusedAsync(ErrorCode code)
        {
            var error = (await world.AuthenticateAsync("wrong", address: "10.0.0.1")).Error!;
            Assert.Equal(code, error.Code);
            return error;
        }
    }

    /// <summary>Whoever has many addresses cannot free one that is refused.</summary>
    [Fact]
    public async Task RefusedAddress_WhileManyOthersAreRefused_StaysRefused()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        var first = IPAddress.Parse("10.0.0.1");
        for (var i = 0; i < 20; i++) Assert.Null(world.WrongKeys.Count(first));
        for (var i = 0; i < 60_000; i++)
        {
            var other = new IPAddress(0x0B000000 + i);
            for (var sent = 0; sent < 20 && world.WrongKeys.Count(other) is null;) sent++;
        }
        Assert.Equal(ErrorCode.RateLimitExceeded, world.WrongKeys.Count(first)?.Error?.Code);
        // Not for ever: the places are free again after their minute.
        world.Access.Time.Advance(WrongKeys.Window);
        Assert.Null(world.WrongKeys.Count(IPAddress.Parse("10.9.9.9")));
    }

    /// <summary>A signature costs more than a look-up, so a refused address cannot have as many verified as it likes.</summary>
    [Fact]
    public async Task NewTokens_FromRefusedAddress_AreVerifiedAFewTimesASecond()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        var known = world.Issuer.Token();
        Assert.NotNull((await world.AuthenticateAsync(known, address: "10.0.0.1")).Caller);
        for (var i = 0; i < 20; i++) await world.AuthenticateAsync("wrong", address: "10.0.0.1");
        var parts = known.Split('.');
        for (var i = 0; i < WrongKeys.MaxVerifications; i++)
        {
            var forged = $"{parts[0]}.{parts[1]}.{new string('A', 342)}";
            Assert.Equal(TimeSpan.FromMinutes(1), (await world.AuthenticateAsync(forged, address: "10.0.0.1")).Error?.RetryAfter);
        }
        var token = world.Issuer.Token(claims => claims["sub"] = "grace");
        var error = (await world.AuthenticateAsync(token, address: "10.0.0.1")).Error;
        Assert.Equal((ErrorCode.RateLimitExceeded, TimeSpan.FromSeconds(1)), (error!.Code, error.RetryAfter));
        Assert.NotNull((await world.AuthenticateAsync(known, address: "10.0.0.1")).Caller);
        Assert.NotNull((await world.AuthenticateAsync(world.Issuer.Token(claims => claims["sub"] = "linus"), address: "10.0.0.2")).Caller);
        world.Access.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.NotNull((await world.AuthenticateAsync(token, address: "10.0.0.1")).Caller);
    }

    [Fact]
    public async Task Protection_SwitchedOff_NeverRefuses()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        world.SetWrongKeysPerMinute(0);
        for (var i = 0; i < 50; i++) Assert.Equal(ErrorCode.InvalidApiKey, (await world.AuthenticateAsync("wrong", address: "10.0.0.1")).Error?.Code);
    }

    [Fact]
    public async Task MissingKey_IsNotCounted()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        for (var i = 0; i < 50; i++) Assert.Equal(ErrorCode.MissingApiKey, (await world.AuthenticateAsync("", address: "10.0.0.1")).Error?.Code);
        Assert.Equal(ErrorCode.InvalidApiKey, (await world.AuthenticateAsync("wrong", address: "10.0.0.1")).Error?.Code);
    }
}
