using System.Net.Sockets;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Delivery;

/// <summary>
/// Ends an HTTP response so that no client takes it for a complete one, but reads everything that was sent. Aborting at once would reset
/// the connection, and a reset discards what the client has not read yet.
/// </summary>
internal static class UncleanEnd
{
    /// <summary>Time for the last bytes to get from the server's buffers into the socket.</summary>
    private static readonly TimeSpan FlushGrace = TimeSpan.FromMilliseconds(100);

    /// <summary>How long a client may take to read the end and close its side.</summary>
    private static readonly TimeSpan ReadGrace = TimeSpan.FromSeconds(5);

    public static async Task SendAsync(HttpContext context, TimeProvider time)
    {
        await Task.Delay(FlushGrace, time, CancellationToken.None);
        if (CloseOwnSide(context))
        {
            // The client finds that the body is truncated after the last event and closes its side, which fires the token.
            await Task.Delay(ReadGrace, time, context.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        context.Abort();
    }

    // An HTTP/2 connection has other responses too, and its abort is a frame after the data. Without a socket, an abort must do.
    private static bool CloseOwnSide(HttpContext context)
    {
        if (!HttpProtocol.IsHttp11(context.Request.Protocol)) return false;
        if (context.Features.Get<IConnectionSocketFeature>() is not { } connection) return false;
        try
        {
            connection.Socket.Shutdown(SocketShutdown.Send);
            return true;
        }
        catch (Exception gone) when (gone is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }
}
