using System.Net;
using System.Net.Sockets;
using Fairlead.Security;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Security;

public sealed class GuardedConnectorTests : IDisposable
{
    private readonly TcpListener _inside = new(IPAddress.Loopback, 0);

    public GuardedConnectorTests() => _inside.Start();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private int Port => ((IPEndPoint)_inside.LocalEndpoint).Port;

    [Fact]
    public async Task Connect_HostnameResolvesToInternalAddress_IsRefusedBeforeAnyPacket()
    {
        var connector = new GuardedConnector(new Names(IPAddress.Loopback), () => AddressRules.PublicOnly, TimeProvider.System);
        await Assert.ThrowsAsync<ForbiddenAddressException>(() => connector.ConnectAsync(new DnsEndPoint("hooks.example.com", Port), Cancel));
        Assert.False(_inside.Pending());
    }

    [Fact]
    public async Task Connect_DnsRebinding_UsesCheckedAddress()
    {
        // The first lookup returns a permitted address and the second one an internal address. A second lookup would connect to the
        // internal one.
        var names = new Names(IPAddress.Parse("127.0.0.1"), IPAddress.Parse("127.0.0.9"));
        var connector = new GuardedConnector(names, () => new AddressRules([IPNetwork.Parse("127.0.0.1/32")]), TimeProvider.System);
        using var socket = await connector.ConnectAsync(new DnsEndPoint("rebind.example.com", Port), Cancel);
        Assert.Equal(IPAddress.Loopback, ((IPEndPoint)socket.RemoteEndPoint!).Address);
        Assert.Equal(1, names.Asked);

        // And the second attempt, which now resolves to the inner one, is refused.
        await Assert.ThrowsAsync<ForbiddenAddressException>(() => connector.ConnectAsync(new DnsEndPoint("rebind.example.com", Port), Cancel));
    }

    [Fact]
    public async Task Connect_SeveralAddresses_UsesOnlyAllowedOnes()
    {
        var connector = new GuardedConnector(new AllAtOnce("127.0.0.9", "169.254.169.254", "::ffff:127.0.0.9", "127.0.0.1"), () => new AddressRules([IPNetwork.Parse("127.0.0.1/32")]), TimeProvider.System);
        using var socket = await connector.ConnectAsync(new DnsEndPoint("many.example.com", Port), Cancel);
        Assert.Equal(IPAddress.Loopback, ((IPEndPoint)socket.RemoteEndPoint!).Address);
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("[::1]")]
    [InlineData("::ffff:127.0.0.1")]
    [InlineData("0x7f.1")]
    [InlineData("2130706433")]
    public async Task Connect_IpLiteralInsteadOfHostname_IsAlsoChecked(string host)
    {
        var names = new Names(IPAddress.Loopback);
        var connector = new GuardedConnector(names, () => AddressRules.PublicOnly, TimeProvider.System);
        await Assert.ThrowsAsync<ForbiddenAddressException>(() => connector.ConnectAsync(new DnsEndPoint(host, Port), Cancel));
    }

    [Fact]
    public async Task Connect_PublicAddressOnUnusualPort_IsRefused()
    {
        var connector = new GuardedConnector(new Names(IPAddress.Parse("8.8.8.8")), () => AddressRules.PublicOnly, TimeProvider.System);
        await Assert.ThrowsAsync<ForbiddenAddressException>(() => connector.ConnectAsync(new DnsEndPoint("hooks.example.com", 6379), Cancel));
    }

    /// <summary>Every forbidden kind of address that a name may resolve to, as the DNS returns it and as a URL writes it.</summary>
    public static TheoryData<string> Forms => new(
        "0.0.0.0", "127.0.0.1", "127.8.9.10", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "100.100.100.200", "169.254.169.254", "169.254.170.2", "168.63.129.16", "192.0.0.192",
        "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8", "::ffff:0:7f00:1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808", "64:ff9b:1::7f00:1", "2002:7f00:1::1", "2002:a9fe:a9fe::", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2600::5efe:7f00:1",
        "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1");

    [Theory]
    [MemberData(nameof(Forms))]
    public async Task Connect_AnyInternalAddressForm_IsRefusedAsHostnameAndLiteral(string address)
    {
        // On a usual port, so that the address alone decides.
        var connector = new GuardedConnector(new AllAtOnce(address), () => AddressRules.PublicOnly, TimeProvider.System);
        foreach (var host in (string[])["hooks.example.com", address, $"[{address}]"])
            await Assert.ThrowsAsync<ForbiddenAddressException>(() => connector.ConnectAsync(new DnsEndPoint(host, 443), Cancel));
        var written = address.Contains(':', StringComparison.Ordinal) ? $"https://[{address}]/" : $"https://{address}/";
        Assert.Null(OutboundUrl.Read(written, AddressRules.PublicOnly, allowHttp: false).Url);
    }

    [Fact]
    public async Task Connect_FirstAddressDropsPackets_TriesNextInTime()
    {
        // A listener whose queue is full drops what comes to it.
        using var full = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        full.Bind(new IPEndPoint(IPAddress.Parse("127.0.0.2"), Port));
        full.Listen(0);
        var queued = new List<Socket>();
        try
        {
            for (var i = 0; i < 8; i++)
            {
                var one = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                queued.Add(one);
                using var soon = new CancellationTokenSource(TimeSpan.FromMilliseconds(100), TimeProvider.System);
                try
                {
                    await one.ConnectAsync(full.LocalEndPoint!, soon.Token);
                }
                catch (OperationCanceledException)
                {
                    break;
                }
            }
            Assert.SkipWhen(queued.Count == 8, "This system queues more connections than it was asked to.");
            var time = new FakeTimeProvider();
            var connector = new GuardedConnector(new AllAtOnce("127.0.0.2", "127.0.0.1"), () => new AddressRules([IPNetwork.Parse("127.0.0.0/8")]), time);
            var connecting = connector.ConnectAsync(new DnsEndPoint("two.example.com", Port), Cancel);
            time.Advance(TimeSpan.FromSeconds(2.9));
            Assert.False(connecting.IsCompleted);
            time.Advance(TimeSpan.FromSeconds(0.2));
            using var socket = await connecting.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancel);
            Assert.Equal(IPAddress.Loopback, ((IPEndPoint)socket.RemoteEndPoint!).Address);
        }
        finally
        {
            foreach (var one in queued) one.Dispose();
        }
    }

    [Fact]
    public async Task Connect_HostnameWithoutAddress_ThrowsHostNotFound()
    {
        var connector = new GuardedConnector(new AllAtOnce(), () => AddressRules.PublicOnly, TimeProvider.System);
        var fault = await Assert.ThrowsAsync<SocketException>(() => connector.ConnectAsync(new DnsEndPoint("nobody.example.com", 443), Cancel));
        Assert.Equal(SocketError.HostNotFound, fault.SocketErrorCode);
    }

    [Fact]
    public async Task Handler_EnvironmentProxyAndRedirects_AreIgnored()
    {
        using var handler = new GuardedConnector(new Names(IPAddress.Loopback), () => AddressRules.PublicOnly, TimeProvider.System).MakeHandler();
        Assert.False(handler.UseProxy);
        Assert.False(handler.AllowAutoRedirect);
        using var client = new HttpClient(handler);
        var fault = await Assert.ThrowsAsync<HttpRequestException>(() => client.GetAsync(new Uri($"http://hooks.example.com:{Port}/"), Cancel));
        Assert.IsType<ForbiddenAddressException>(fault.InnerException);
        Assert.False(_inside.Pending());
    }

    public void Dispose() => _inside.Dispose();

    /// <summary>Each lookup returns the next address. After the last one, it repeats.</summary>
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
