using System.Net.Sockets;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Delivery;

/// <summary>
/// Ends an answer under way so that no client takes it for whole, and yet reads all that was sent. Aborting at once would reset the connection,
/// and a reset throws away what the client has not read or what is still on its way.
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
            // The client finds the body cut off behind the last event, closes, and that fires the token.
            await Task.Delay(ReadGrace, time, context.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        context.Abort();
    }

    // A connection of HTTP/2 carries other answers too, and its abort is a frame behind the data. Elsewhere than on a socket there is only the abort.
    private static bool CloseOwnSide(HttpContext context)
    {
        if (!HttpProtocol.IsHttp11(context.Request.Protocol) || context.Features.Get<IConnectionSocketFeature>() is not { } connection) return false;
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
