using System.Net.WebSockets;
using Fairlead.Conversation;
using Fairlead.Errors;

namespace Fairlead.Responses;

/// <summary>Sends the messages of one connection, one after another. Thread-safe.</summary>
/// <remarks>
/// All methods throw what the socket throws: <see cref="WebSocketException"/>, <see cref="OperationCanceledException"/> or
/// <see cref="ObjectDisposedException"/> for a connection that is gone.
/// </remarks>
/// <param name="socket">The connection.</param>
/// <param name="time">The clock for new ids.</param>
/// <param name="aborted">Fires when the connection is gone.</param>
internal sealed class SocketWriter(WebSocket socket, TimeProvider time, CancellationToken aborted) : IDisposable
{
    /// <summary>
    /// The socket copies what it is given into a frame, and the server copies the frame. A long message is sent in frames of this length,
    /// so that it is in memory only once.
    /// </summary>
    private const int FrameBytes = 64 * 1024;

    private readonly SemaphoreSlim _sending = new(1, 1);

    public async Task SendAsync(ReadOnlyMemory<byte> message)
    {
        await _sending.WaitAsync(CancellationToken.None);
        try
        {
            while (message.Length > FrameBytes)
            {
                await socket.SendAsync(message[..FrameBytes], WebSocketMessageType.Text, endOfMessage: false, aborted);
                message = message[FrameBytes..];
            }
            await socket.SendAsync(message, WebSocketMessageType.Text, endOfMessage: true, aborted);
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>Sends an error that belongs to no request; it gets an id of its own.</summary>
    public Task SendErrorAsync(GatewayError error) => SendAsync(SocketErrorEvent.Of(error, Ids.New("req_", time)));

    /// <summary>Sends the close frame; nothing can be sent after it.</summary>
    public async Task CloseOutputAsync(WebSocketCloseStatus status, string? description)
    {
        await _sending.WaitAsync(CancellationToken.None);
        try
        {
            if (socket.State is WebSocketState.Open or WebSocketState.CloseReceived)
            {
                await socket.CloseOutputAsync(status, description, aborted);
            }
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>Whether <paramref name="exception"/> means that the connection is gone.</summary>
    public static bool IsGone(Exception exception) =>
        exception is WebSocketException or OperationCanceledException or ObjectDisposedException;

    public void Dispose() => _sending.Dispose();
}
