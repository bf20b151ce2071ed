using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Security;
using Fairlead.Tests.Catalogue;
using Fairlead.Validation;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Validation;

public sealed class HostCheckTests : IDisposable
{
    private readonly FakeTimeProvider _time = new();
    private readonly Names _names = new();
    private readonly FakeConfigurationSource _configuration = new(new GatewayConfiguration());
    private readonly HostCheck _check;

    public HostCheckTests() => _check = new HostCheck(_configuration, _names, _time);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => _check.Dispose();

    [Theory]
    [InlineData("http://127.0.0.1/")]
    [InlineData("http://10.1.2.3:8000/a.png")]
    [InlineData("http://169.254.169.254/latest/meta-data")]
    [InlineData("http://100.100.100.200/")]
    [InlineData("http://[::1]/")]
    [InlineData("http://[::ffff:10.0.0.1]/")]
    [InlineData("http://[fd00:ec2::254]/")]
    [InlineData("http://localhost/")]
    [InlineData("http://LOCALHOST./")]
    [InlineData("http://a.localhost/")]
    [InlineData("http://metadata/")]
    [InlineData("http://metadata.google.internal/")]
    [InlineData("http://printer.local/")]
    public async Task Check_PrivateHost_IsRefused(string url)
    {
        var error = await _check.CheckAsync(Hosts(url), Cancellation);
        Assert.Equal("messages[0].content[1].image_url.url", error!.Parameter);
        Assert.Contains("requests.allowedNetworks", error.Remedy, StringComparison.Ordinal);
        Assert.Empty(_names.Asked);
    }

    [Fact]
    public async Task Check_NameOfPrivateAddress_IsRefused()
    {
        _names.Known["rebind.example.com"] = [IPAddress.Parse("93.184.216.34"), IPAddress.Parse("192.168.0.7")];
        Assert.NotNull(await _check.CheckAsync(Hosts("https://rebind.example.com/a"), Cancellation));
        _names.Known["example.com"] = [IPAddress.Parse("93.184.216.34")];
        Assert.Null(await _check.CheckAsync(Hosts("https://example.com/a"), Cancellation));
    }

    [Fact]
    public async Task Check_NameWithoutAddress_Passes() =>
        Assert.Null(await _check.CheckAsync(Hosts("https://nowhere.example.com/a"), Cancellation));

    [Fact]
    public async Task Check_SameNameAgain_IsLookedUpOnceInItsLifetime()
    {
        _names.Known["example.com"] = [IPAddress.Parse("93.184.216.34")];
        for (var i = 0; i < 3; i++) await _check.CheckAsync(Hosts("https://example.com/a"), Cancellation);
        Assert.Single(_names.Asked);
        _time.Advance(HostCheck.Lifetime);
        _names.Known["example.com"] = [IPAddress.Loopback];
        Assert.NotNull(await _check.CheckAsync(Hosts("https://example.com/a"), Cancellation));
    }

    [Fact]
    public async Task Check_ResolverDoesNotRespond_IsRefusedAfterTheLimit()
    {
        _names.Waits = true;
        var check = _check.CheckAsync(Hosts("https://slow.example.com/a"), Cancellation).AsTask();
        await _names.Entered.Task.WaitAsync(Cancellation);
        Assert.False(check.IsCompleted);
        _time.Advance(HostCheck.MaxWait);
        Assert.Equal(ErrorCode.Overloaded, (await check.WaitAsync(Cancellation))!.Code);
    }

    [Fact]
    public async Task Check_CallerDisconnects_DecidesNothingForTheNext()
    {
        _names.Waits = true;
        using var leaves = new CancellationTokenSource();
        var check = _check.CheckAsync(Hosts("https://db.example.com/a"), leaves.Token).AsTask();
        await _names.Entered.Task.WaitAsync(Cancellation);
        await leaves.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => check);

        _names.Waits = false;
        _names.Known["db.example.com"] = [IPAddress.Parse("10.0.0.5")];
        Assert.NotNull(await _check.CheckAsync(Hosts("https://db.example.com/a"), Cancellation));
    }

    [Fact]
    public async Task Check_AllowedNetwork_Passes()
    {
        _configuration.Change(new GatewayConfiguration().With(new RequestBounds
        {
            AllowedNetworks = [IPNetwork.Parse("10.0.0.0/8"), IPNetwork.Parse("127.0.0.0/8")],
        }));
        _names.Known["localhost"] = [IPAddress.Loopback];
        _names.Known["files"] = [IPAddress.Parse("10.0.0.9")];
        _names.Known["other"] = [IPAddress.Parse("192.168.0.9")];
        Assert.Null(await _check.CheckAsync(Hosts("http://10.0.0.1/"), Cancellation));
        Assert.Null(await _check.CheckAsync(Hosts("http://localhost/"), Cancellation));
        Assert.Null(await _check.CheckAsync(Hosts("http://files/"), Cancellation));
        Assert.NotNull(await _check.CheckAsync(Hosts("http://other/"), Cancellation));
        Assert.NotNull(await _check.CheckAsync(Hosts("http://192.168.0.9/"), Cancellation));
    }

    private static RequestHosts Hosts(string url)
    {
        var hosts = new RequestHosts();
        hosts.Add(Encoding.UTF8.GetBytes(url), "messages[0].content[1].image_url.url");
        return hosts;
    }

    private sealed class Names : IHostResolver
    {
        public ConcurrentDictionary<string, IPAddress[]> Known { get; } = new();

        public ConcurrentQueue<string> Asked { get; } = new();

        public bool Waits { get; set; }

        public TaskCompletionSource Entered { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public async Task<IPAddress[]> ResolveAsync(string host, CancellationToken cancellationToken)
        {
            Asked.Enqueue(host);
            Entered.TrySetResult();
            if (Waits) await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
            return Known.TryGetValue(host, out var found) ? found : throw new SocketException((int)SocketError.HostNotFound);
        }
    }
}
