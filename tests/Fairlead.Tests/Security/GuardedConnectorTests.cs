using System.Net;
using System.Net.Sockets;
using Fairlead.Security;

namespace Fairlead.Tests.Security;

public sealed class GuardedConnectorTests : IDisposable
{
    private readonly TcpListener _inside = new(IPAddress.Loopback, 0);

    public GuardedConnectorTests() => _inside.Start();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private int Port => ((IPEndPoint)_inside.LocalEndpoint).Port;

    [Fact]
    public async Task Connect_NameLeadsInside_IsRefusedBeforeAnyPacket()
    {
        var connector = new GuardedConnector(new Names(IPAddress.Loopback), () => AddressRules.PublicOnly);
        await Assert.ThrowsAsync<ForbiddenAddressException>(() => connector.ConnectAsync(new DnsEndPoint("hooks.example.com", Port), Cancel));
        Assert.False(_inside.Pending());
    }

    [Fact]
    public async Task Connect_NameThatChangesItsMind_GoesToTheAddressThatWasChecked()
    {
        // First a harmless address, then the inner one: whoever resolves twice is led inside.
        var names = new Names(IPAddress.Parse("127.0.0.1"), IPAddress.Parse("127.0.0.9"));
        var connector = new GuardedConnector(names, () => new AddressRules([IPNetwork.Parse("127.0.0.1/32")]));
        using var socket = await connector.ConnectAsync(new DnsEndPoint("rebind.example.com", Port), Cancel);
        Assert.Equal(IPAddress.Loopback, ((IPEndPoint)socket.RemoteEndPoint!).Address);
        Assert.Equal(1, names.Asked);

        // And the second attempt, which now resolves to the inner one, is refused.
        await Assert.ThrowsAsync<ForbiddenAddressException>(() => connector.ConnectAsync(new DnsEndPoint("rebind.example.com", Port), Cancel));
    }

    [Fact]
    public async Task Connect_SeveralAddresses_TakesOnlyThoseThatMayBeCalled()
    {
        var connector = new GuardedConnector(new AllAtOnce("127.0.0.9", "169.254.169.254", "::ffff:127.0.0.9", "127.0.0.1"), () => new AddressRules([IPNetwork.Parse("127.0.0.1/32")]));
        using var socket = await connector.ConnectAsync(new DnsEndPoint("many.example.com", Port), Cancel);
        Assert.Equal(IPAddress.Loopback, ((IPEndPoint)socket.RemoteEndPoint!).Address);
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("[::1]")]
    [InlineData("::ffff:127.0.0.1")]
    [InlineData("0x7f.1")]
    [InlineData("2130706433")]
    public async Task Connect_AddressInsteadOfAName_IsCheckedToo(string host)
    {
        var names = new Names(IPAddress.Loopback);
        var connector = new GuardedConnector(names, () => AddressRules.PublicOnly);
        await Assert.ThrowsAsync<ForbiddenAddressException>(() => connector.ConnectAsync(new DnsEndPoint(host, Port), Cancel));
    }

    [Fact]
    public async Task Connect_PublicAddressOnAnUnusualPort_IsRefused()
    {
        var connector = new GuardedConnector(new Names(IPAddress.Parse("8.8.8.8")), () => AddressRules.PublicOnly);
        await Assert.ThrowsAsync<ForbiddenAddressException>(() => connector.ConnectAsync(new DnsEndPoint("hooks.example.com", 6379), Cancel));
    }

    [Fact]
    public async Task Connect_NameWithoutAddress_IsNotFound()
    {
        var connector = new GuardedConnector(new AllAtOnce(), () => AddressRules.PublicOnly);
        var fault = await Assert.ThrowsAsync<SocketException>(() => connector.ConnectAsync(new DnsEndPoint("nobody.example.com", 443), Cancel));
        Assert.Equal(SocketError.HostNotFound, fault.SocketErrorCode);
    }

    [Fact]
    public async Task Handler_ProxyOfTheEnvironment_IsNotUsedAndRedirectsAreNotFollowed()
    {
        using var handler = new GuardedConnector(new Names(IPAddress.Loopback), () => AddressRules.PublicOnly).MakeHandler();
        Assert.False(handler.UseProxy);
        Assert.False(handler.AllowAutoRedirect);
        using var client = new HttpClient(handler);
        var fault = await Assert.ThrowsAsync<HttpRequestException>(() => client.GetAsync(new Uri($"http://hooks.example.com:{Port}/"), Cancel));
        Assert.IsType<ForbiddenAddressException>(fault.InnerException);
        Assert.False(_inside.Pending());
    }

    public void Dispose() => _inside.Dispose();

    /// <summary>Each question gets the next answer; the last one stays.</summary>
    private sealed class Names(params IPAddress[] answers) : IHostResolver
    {
        public int Asked { get; private set; }

        public Task<IPAddress[]> ResolveAsync(string host, CancellationToken cancellationToken) => Task.FromResult<IPAddress[]>([answers[Math.Min(Asked++, answers.Length - 1)]]);
    }

    private sealed class AllAtOnce(params string[] addresses) : IHostResolver
    {
        public Task<IPAddress[]> ResolveAsync(string host, CancellationToken cancellationToken) => Task.FromResult(addresses.Select(IPAddress.Parse).ToArray());
    }
}
