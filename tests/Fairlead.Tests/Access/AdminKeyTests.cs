using Fairlead.Access;

namespace Fairlead.Tests.Access;

public sealed class AdminKeyTests
{
    [Theory]
    [InlineData(null)]
    [InlineData("")]
    public void Constructor_NotSet_MatchesNothing(string? value)
    {
        var key = new AdminKey(value);
        Assert.False(key.IsSet);
        Assert.False(key.Matches(""));
        Assert.False(key.Matches("anything at all"));
    }

    [Fact]
    public void Matches_PartialOrDifferentKey_ReturnsFalse()
    {
        var key = new AdminKey("correct-horse-battery");
        Assert.True(key.Matches("correct-horse-battery"));
        Assert.False(key.Matches("correct-horse-batter"));
        Assert.False(key.Matches("correct-horse-batterY"));
        Assert.False(key.Matches(new string('x', 100_000)));
    }

    [Theory]
    [InlineData("fifteen-letters", "15 characters")]
    [InlineData("a key with spaces in it", "space")]
    [InlineData("trailing-line-break\n", "line break")]
    [InlineData("schlüssel-schlüssel", "non-ASCII")]
    public void Constructor_InvalidKey_ThrowsReasonWithoutKey(string value, string reason)
    {
        var fault = Assert.Throws<ArgumentException>(() => new AdminKey(value));
        Assert.Contains(reason, fault.Message, StringComparison.Ordinal);
        Assert.Contains("FAIRLEAD_ADMIN_KEY", fault.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(value, fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AdminKeyCaller_Scopes_AreAdminOnly()
    {
        var caller = new AdminKey("correct-horse-battery").Caller;
        Assert.True(caller.HasScope(Scopes.AdminRead));
        Assert.True(caller.HasScope(Scopes.AdminWrite));
        Assert.False(caller.HasScope(Scopes.Chat));
    }
}
