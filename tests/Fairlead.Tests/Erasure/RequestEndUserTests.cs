using System.Text;
using Fairlead.Erasure;

namespace Fairlead.Tests.Erasure;

public sealed class RequestEndUserTests
{
    [Theory]
    [InlineData("""{"user":"ada"}""", false, "ada")]
    [InlineData("""{"user":"ada","safety_identifier":"s-1"}""", false, "s-1")]
    [InlineData("""{"safety_identifier":"","user":"ada"}""", false, "ada")]
    [InlineData("""{"messages":[{"role":"user","user":"other"}],"user":"\u0061da"}""", false, "ada")]
    [InlineData("""{"metadata":{"user_id":"ada"}}""", false, null)]
    [InlineData("""{"metadata":{"a":{"user_id":"x"},"user_id":"ada"},"user":"other"}""", true, "ada")]
    [InlineData("""{"metadata":null}""", true, null)]
    [InlineData("""{"user":["ada"]}""", false, null)]
    [InlineData("""["ada"]""", false, null)]
    [InlineData("""{"user":"ada" """, false, null)]
    [InlineData("", false, null)]
    public void Of_Request_ReturnsItsEndUser(string request, bool isMessages, string? expected) =>
        Assert.Equal(expected, RequestEndUser.Of(Encoding.UTF8.GetBytes(request), isMessages));

    [Theory]
    [InlineData("""{"custom_id":"a","body":{"user" : "\u0061da"},"more":1}""", true)]
    [InlineData("""{"custom_id":"a","body":{"metadata":{"user_id":"ada", """, true)]
    [InlineData("""{"user":7,"safety_identifier":"eve","user":"ada """, false)]
    [InlineData("""{"user":"ad\q","user":"ada"}""", true)]
    [InlineData("""{"text":"\"user\":\"ada\""}""", false)]
    [InlineData("""{"user" """, false)]
    public void IsNamedIn_FaultyLine_FindsTheEndUser(string line, bool expected) =>
        Assert.Equal(expected, RequestEndUser.IsNamedIn(Encoding.UTF8.GetBytes(line), ErasureSelector.OfEndUser("ada", "proj_1", null)));

    [Fact]
    public void Selector_OfEndUser_KnowsTheUserByItsHashOnly()
    {
        var (one, other) = (ErasureSelector.OfEndUser("ada", "proj_1", null), ErasureSelector.OfEndUser("ada", "proj_1", null));
        Assert.True(one.IsEndUser("ada"));
        Assert.False(one.IsEndUser("Ada"));
        Assert.False(one.IsEndUser((string?)null));
        // The same name has another hash in another erasure.
        Assert.NotEqual(one.UserHash, other.UserHash);
    }
}
