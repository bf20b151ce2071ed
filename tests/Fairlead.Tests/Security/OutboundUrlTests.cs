using System.Net;
using Fairlead.Security;

namespace Fairlead.Tests.Security;

public sealed class OutboundUrlTests
{
    private static readonly AddressRules Loopback = new([IPNetwork.Parse("127.0.0.0/8"), IPNetwork.Parse("::1/128")]);

    [Theory]
    [InlineData("")]
    [InlineData("hooks")]
    [InlineData("/hooks")]
    [InlineData("//example.com/hooks")]
    [InlineData("http://example.com/")]
    [InlineData("ftp://example.com/")]
    [InlineData("file:///etc/passwd")]
    [InlineData("gopher://example.com/")]
    [InlineData("javascript:alert(1)")]
    [InlineData("unix:///var/run/docker.sock")]
    [InlineData("https:///hooks")]
    [InlineData("https://")]
    [InlineData("https:example.com")]
    [InlineData("https:/example.com")]
    [InlineData("https://user@example.com/")]
    [InlineData("https://user:password@example.com/")]
    [InlineData("https://@example.com/")]
    [InlineData("https://example.com@127.0.0.1/")]
    [InlineData("https://example.com#@127.0.0.1/")]
    [InlineData("https://example.com/#fragment")]
    [InlineData("https://example.com\\@127.0.0.1/")]
    [InlineData("https://example.com/a b")]
    [InlineData("https://example.com/\r\nHost: x")]
    [InlineData("https://example.com\t/")]
    [InlineData("https://ex\u00e4mple.com/")]
    [InlineData("https://\uff11\uff12\uff17.0.0.1/")]
    [InlineData("https://127\u30020\u30020\u30021/")]
    [InlineData("https://\u2488\u2488\u2488\u2488/")]
    [InlineData("https://%31%32%37.0.0.1/")]
    [InlineData("https://[fe80::1%25eth0]/")]
    [InlineData("https://localhost/")]
    [InlineData("https://metadata/")]
    [InlineData("https://example.com./")]
    [InlineData("https://localhost./")]
    [InlineData("https://127.0.0.1./")]
    [InlineData("https://127.0.0.1/")]
    [InlineData("https://127.1/")]
    [InlineData("https://127.0.1/")]
    [InlineData("https://0/")]
    [InlineData("https://0.0.0.0/")]
    [InlineData("https://2130706433/")]
    [InlineData("https://134744072/")]
    [InlineData("https://017700000001/")]
    [InlineData("https://0177.0.0.1/")]
    [InlineData("https://010.8.8.8/")]
    [InlineData("https://0x7f000001/")]
    [InlineData("https://0x7f.0.0.1/")]
    [InlineData("https://8.8.8.0x8/")]
    [InlineData("https://0X7F.1/")]
    [InlineData("https://127.0.0.1:443/")]
    [InlineData("https://256.1.1.1/")]
    [InlineData("https://1.2.3.4.5/")]
    [InlineData("https://169.254.169.254/latest/meta-data/")]
    [InlineData("https://[::1]/")]
    [InlineData("https://[::]/")]
    [InlineData("https://[::ffff:127.0.0.1]/")]
    [InlineData("https://[0:0:0:0:0:ffff:7f00:1]/")]
    [InlineData("https://[64:ff9b::7f00:1]/")]
    [InlineData("https://[2002:7f00:1::]/")]
    [InlineData("https://[fd00:ec2::254]/")]
    [InlineData("https://[::1/")]
    [InlineData("https://[]/")]
    [InlineData("https://[v1.x]/")]
    [InlineData("https://example.com:22/")]
    [InlineData("https://example.com:25/")]
    [InlineData("https://example.com:6379/")]
    [InlineData("https://example.com:0/")]
    [InlineData("https://example.com:99999/")]
    [InlineData("https://example.com:x/")]
    [InlineData("https://-.-/")]
    public void Read_InvalidOrForbiddenUrl_ReportsHowToFix(string text)
    {
        var (url, fault) = OutboundUrl.Read(text, AddressRules.PublicOnly, allowHttp: false);
        Assert.Null(url);
        Assert.EndsWith(".", fault, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("https://example.com/hooks?a=b%20c", "https://example.com/hooks?a=b%20c")]
    [InlineData("HTTPS://Example.COM", "https://example.com/")]
    [InlineData("https://example.com:8443/", "https://example.com:8443/")]
    [InlineData("https://xn--exmple-cua.com/", "https://xn--exmple-cua.com/")]
    [InlineData("https://8.8.8.8/", "https://8.8.8.8/")]
    [InlineData("https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]/")]
    public void Read_PublicUrl_ReturnsUrl(string text, string read) => Assert.Equal(read, OutboundUrl.Read(text, AddressRules.PublicOnly, allowHttp: false).Url?.AbsoluteUri);

    [Theory]
    [InlineData("http://127.0.0.1:41234/hooks", true)]
    [InlineData("http://[::1]:41234/hooks", true)]
    [InlineData("http://localhost:41234/hooks", true)]
    [InlineData("http://10.0.0.1/hooks", false)]
    [InlineData("http://8.8.8.8:41234/hooks", false)]
    [InlineData("http://2130706433/hooks", false)]
    public void Read_OperatorAllowedNetworks_AreAcceptedOnAnyPort(string text, bool passes) =>
        Assert.Equal(passes, OutboundUrl.Read(text, Loopback, allowHttp: true).Url is not null);

    [Fact]
    public void Read_TooLong_IsRefused() => Assert.Contains("2048", OutboundUrl.Read("https://example.com/" + new string('a', 2048), AddressRules.PublicOnly, allowHttp: false).Fault, StringComparison.Ordinal);

    [Fact]
    public void Read_HttpAllowed_IsAccepted() => Assert.NotNull(OutboundUrl.Read("http://example.com/", AddressRules.PublicOnly, allowHttp: true).Url);
}
