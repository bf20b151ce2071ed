using System.Net;
using System.Net.Sockets;

namespace Fairlead.Security;

/// <summary>
/// Connects to destinations that an outsider chose. The name is resolved once, and the connection uses exactly the address that was
/// checked, so DNS rebinding has no effect. Thread-safe.
/// </summary>
/// <param name="resolver">Resolves the addresses.</param>
/// <param name="rules">Returns the current rules.</param>
/// <param name="time">Ends the wait for an address that does not respond.</param>
internal sealed class GuardedConnector(IHostResolver resolver, Func<AddressRules> rules, TimeProvider time)
{
    /// <summary>Maximum number of addresses to try for one name.</summary>
    private const int MaxAddresses = 4;

    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(10);

    /// <summary>
    /// After this time the next address of a name is tried: an unreachable address must not use up the time of a reachable one.
    /// </summary>
    private static readonly TimeSpan AddressTimeout = TimeSpan.FromSeconds(3);

    /// <summary>
    /// A handler that reaches only what the rules allow. It follows no redirect, uses no proxy, and keeps no cookie and no connection:
    /// every request is checked again.
    /// </summary>
    public SocketsHttpHandler MakeHandler() => new()
    {
        ConnectCallback = async (context, cancellationToken) =>
            new NetworkStream(await ConnectAsync(context.DnsEndPoint, cancellationToken), ownsSocket: true),
        AllowAutoRedirect = false,
        UseProxy = false,
        UseCookies = false,
        AutomaticDecompression = DecompressionMethods.None,
        ConnectTimeout = ConnectTimeout,
        PooledConnectionLifetime = TimeSpan.Zero,
        MaxResponseHeadersLength = 16,
        MaxResponseDrainSize = 0,
        // The receiver does not get the trace of the call.
        ActivityHeadersPropagator = null,
    };

    /// <exception cref="ForbiddenAddressException">Every address of the name is forbidden.</exception>
    /// <exception cref="SocketException">The name has no address, or none of the allowed ones responds.</exception>
    public async Task<Socket> ConnectAsync(DnsEndPoint destination, CancellationToken cancellationToken)
    {
        var inForce = rules();
        var host = destination.Host.Trim('[', ']');
        var found = IPAddress.TryParse(host, out var literal) ? [literal] : await resolver.ResolveAsync(host, cancellationToken);
        var permitted = found.Where(address => inForce.Refuse(address) is null
            && (OutboundUrl.IsUsual(destination.Port) || inForce.IsNamed(address))).Take(MaxAddresses).ToArray();
        if (permitted.Length == 0)
        {
            throw found.Length == 0
                ? new SocketException((int)SocketError.HostNotFound)
                : new ForbiddenAddressException("The host resolves to a forbidden address or port.");
        }
        for (var i = 0; ; i++)
        {
            var socket = new Socket(permitted[i].AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            var isLast = i == permitted.Length - 1;
            using var patience = new CancellationTokenSource(isLast ? Timeout.InfiniteTimeSpan : AddressTimeout, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellationToken);
            try
            {
                await socket.ConnectAsync(new IPEndPoint(permitted[i], destination.Port), either.Token);
                return socket;
            }
            catch (Exception fault) when (!isLast
                && (fault is SocketException || (fault is OperationCanceledException && !cancellationToken.IsCancellationRequested)))
            {
                // Try the next address of the name.
                socket.Dispose();
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }
    }
}
