using System.Text;
using Fairlead.Security;

namespace Fairlead.Tests.Security;

public sealed class UrlHostTests
{
    [Theory]
    [InlineData("https://Example.com/a.png", "example.com")]
    [InlineData("http://example.com:8080?x=1", "example.com")]
    [InlineData("https://example.com./a", "example.com")]
    [InlineData("https://example.com#a", "example.com")]
    [InlineData("http://my_host.example/", "my_host.example")]
    [InlineData("http://10.0.0.1/", "10.0.0.1")]
    [InlineData("http://[::1]:80/", "::1")]
    [InlineData("http://[::FFFF:10.0.0.1]/", "::ffff:10.0.0.1")]
    [InlineData("https://example.com/path@x?u=http://127.0.0.1", "example.com")]
    public void Read_ValidUrl_ReturnsHost(string url, string host) => Assert.Equal(host, UrlHost.Read(Encoding.UTF8.GetBytes(url)).Host);

    [Theory]
    [InlineData("http:///127.0.0.1/")]
    [InlineData("http://user@example.com/")]
    [InlineData("http://example.com\\@127.0.0.1/")]
    [InlineData("http://example.com\\.evil/")]
    [InlineData("http://127.1/")]
    [InlineData("http://2130706433/")]
    [InlineData("http://0x7f.0.0.1/")]
    [InlineData("http://0x7f000001/")]
    [InlineData("http://0177.0.0.1/")]
    [InlineData("http://127.0.0.01/")]
    [InlineData("http://%31%32%37.0.0.1/")]
    [InlineData("http://１２７.0.0.1/")]
    [InlineData("http://127。0。0。1/")]
    [InlineData("http://exa\tmple.com/")]
    [InlineData("http://example.com:80a/")]
    [InlineData("http://example.com:80:80/")]
    [InlineData("http://[::1/")]
    [InlineData("http://[::1]x/")]
    [InlineData("http://[fe80::1%25eth0]/")]
    [InlineData("http://[fe80::1%1]/")]
    [InlineData("http://./")]
    public void Read_AmbiguousHost_IsRefused(string url)
    {
        var (host, fault) = UrlHost.Read(Encoding.UTF8.GetBytes(url));
        Assert.Null(host);
        Assert.NotNull(fault);
    }

    [Fact]
    public void Read_EndlessHost_IsRefused() =>
        Assert.NotNull(UrlHost.Read(Encoding.UTF8.GetBytes("http://" + new string('a', 500)).AsSpan(0, UrlHost.PrefixLength)).Fault);
}
