using System.Net;
using Fairlead.Errors;
using Fairlead.Tests.Access.Tokens;

namespace Fairlead.Tests.Access;

/// <summary>Runs without other tests, because it measures the memory of the process.</summary>
[CollectionDefinition(nameof(WrongKeysMemoryTests), DisableParallelization = true)]
[Collection(nameof(WrongKeysMemoryTests))]
public sealed class WrongKeysMemoryTests
{
    /// <summary>The keys of the minute are counted where there is room; who sends most is forgotten last.</summary>
    [Fact]
    public async Task ManyAddresses_UseNoMoreMemory_AndForgetTheBusiestLast()
    {
        await using var world = await new TokenWorld().PreparedAsync();
        for (var i = 0; i < 21; i++) await world.AuthenticateAsync("wrong", address: "10.0.0.1");
        var before = GC.GetTotalMemory(forceFullCollection: true);
        for (var i = 0; i < 200_000; i++) await world.AuthenticateAsync("wrong", address: new IPAddress(0x0B000000 + i).ToString());
        Assert.True(GC.GetTotalMemory(forceFullCollection: true) - before < 4_000_000);
        Assert.Equal(ErrorCode.RateLimitExceeded, (await world.AuthenticateAsync("wrong", address: "10.0.0.1")).Error?.Code);
    }
}
