using System.Net;
using System.Net.Sockets;

namespace Fairlead.Security;

/// <summary>
/// Connects to destinations that somebody outside chose. The name is resolved once and the connection goes to the very address that was
/// checked, so a name that changes its mind in between (DNS rebinding) gains nothing. Thread-safe.
/// </summary>
/// <param name="resolver">Finds the addresses.</param>
/// <param name="rules">Gives the rules in force at this moment.</param>
/// <param name="time">Ends the wait for an address that does not answer.</param>
internal sealed class GuardedConnector(IHostResolver resolver, Func<AddressRules> rules, TimeProvider time)
{
    /// <summary>Of a name with very many addresses only so many are tried.</summary>
    private const int MostAddresses = 4;

    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(10);

    /// <summary>After this the next address of a name has its turn: a way that swallows packets must not use up the time of one that works.</summary>
    private static readonly TimeSpan AddressTimeout = TimeSpan.FromSeconds(3);

    /// <summary>
    /// A handler that reaches only what the rules allow, follows no redirect, uses no proxy, keeps no cookie and no connection: every request is
    /// checked anew.
    /// </summary>
    public SocketsHttpHandler MakeHandler() => new()
    {
        ConnectCallback = async (context, cancellationToken) => new NetworkStream(await ConnectAsync(context.DnsEndPoint, cancellationToken), ownsSocket: true),
        AllowAutoRedirect = false,
        UseProxy = false,
        UseCookies = false,
        AutomaticDecompression = DecompressionMethods.None,
        ConnectTimeout = ConnectTimeout,
        PooledConnectionLifetime = TimeSpan.Zero,
        MaxResponseHeadersLength = 16,
        MaxResponseDrainSize = 0,
        // The trace of a call is no business of its receiver.
        ActivityHeadersPropagator = null,
    };

    /// <exception cref="ForbiddenAddressException">Nothing that the name leads to may be called.</exception>
    /// <exception cref="SocketException">The name has no address, or none of those that may be called answers.</exception>
    public async Task<Socket> ConnectAsync(DnsEndPoint destination, CancellationToken cancellationToken)
    {
        var inForce = rules();
        var host = destination.Host.Trim('[', ']');
        var found = IPAddress.TryParse(host, out var literal) ? [literal] : await resolver.ResolveAsync(host, cancellationToken);
        var permitted = found.Where(address => inForce.Refuse(address) is null && (OutboundUrl.IsUsual(destination.Port) || inForce.IsNamed(address))).Take(MostAddresses).ToArray();
        if (permitted.Length == 0)
        {
            throw found.Length == 0
                ? new SocketException((int)SocketError.HostNotFound)
                : new ForbiddenAddressException("The host leads to an address or port that may not be called.");
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
            catch (Exception fault) when (!isLast && (fault is SocketException || (fault is OperationCanceledException && !cancellationToken.IsCancellationRequested)))
            {
                // The next address of the name.
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
