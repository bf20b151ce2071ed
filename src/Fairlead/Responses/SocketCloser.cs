using System.Net.WebSockets;
using Fairlead.Errors;

namespace Fairlead.Responses;

/// <summary>
/// Closes one connection: sends the reason and the close frame, waits until the client has closed too, and aborts if it does not. Methods
/// never throw. Thread-safe.
/// </summary>
internal sealed class SocketCloser(WebSocket socket, SocketWriter writer, SocketTurns turns, TimeProvider time)
{
    private const int ReadBytes = 4096;

    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(5);

    private readonly TaskCompletionSource _isRead = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _isRefusing;

    /// <summary>Whether the client sent something for which its connection closes. What it still sends is ignored.</summary>
    public bool IsRefusing => _isRefusing;

    /// <summary>Call when nothing more is read from the connection.</summary>
    public void ReadingEnded() => _isRead.TrySetResult();

    /// <summary>Closes after the current response has ended.</summary>
    /// <param name="status">Sent in the close frame.</param>
    /// <param name="reason">Sent before it; null for none.</param>
    public async Task CloseAsync(WebSocketCloseStatus status, GatewayError? reason)
    {
        await turns.Close();
        try
        {
            if (reason is not null) await writer.SendErrorAsync(reason);
            await writer.CloseOutputAsync(status, null);
            await _isRead.Task.WaitAsync(Grace, time);
        }
        catch (Exception exception) when (SocketWriter.IsGone(exception) || exception is TimeoutException)
        {
            socket.Abort();
        }
    }

    /// <summary>Closes because of what the client sent, without waiting for a response.</summary>
    /// <param name="status">Sent in the close frame.</param>
    /// <param name="error">Sent before it.</param>
    /// <param name="isReading">Whether the connection is still being read, so that its reader sees the close frame of the client.</param>
    public async Task RefuseAsync(WebSocketCloseStatus status, GatewayError error, bool isReading)
    {
        isReading &= !_isRefusing;
        _isRefusing = true;
        _ = turns.Close();
        try
        {
            await writer.SendErrorAsync(error).WaitAsync(Grace, time);
            await writer.CloseOutputAsync(status, null).WaitAsync(Grace, time);
            // An abort while something is unread would discard the error.
            if (isReading) await _isRead.Task.WaitAsync(Grace, time);
            else await SkipAsync().WaitAsync(Grace, time);
        }
        catch (Exception exception) when (SocketWriter.IsGone(exception) || exception is TimeoutException or InvalidOperationException)
        {
            socket.Abort();
        }
    }

    private async Task SkipAsync()
    {
        var rest = new byte[ReadBytes];
        while ((await socket.ReceiveAsync(rest.AsMemory(), CancellationToken.None)).MessageType != WebSocketMessageType.Close)
        {
            // Until the client has closed too.
        }
    }
}
