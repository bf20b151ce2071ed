using System.Net.WebSockets;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Streaming;

namespace Fairlead.Responses;

/// <summary>
/// Reads the messages of one connection. A message that is too long, too slow, not text or without memory closes its connection. Used by
/// one loop.
/// </summary>
internal sealed class SocketReader(
    WebSocket socket,
    SocketWriter writer,
    SocketCloser closer,
    SocketLimits limits,
    MemoryBudget memory,
    TimeProvider time)
{
    private const int ReadBytes = 4096;

    /// <summary>The next message, which the caller disposes; null if none follows.</summary>
    public async Task<PooledBuffer?> ReadAsync()
    {
        // What an idle connection needs is not counted.
        var message = new PooledBuffer(ReadBytes, memory, uncounted: ReadBytes);
        ITimer? timer = null;
        var isTaken = false;
        try
        {
            while (true)
            {
                // Without a token that could abort the connection: it is closed in order.
                var got = await socket.ReceiveAsync(message.GetMemory(ReadBytes), CancellationToken.None);
                if (got.MessageType == WebSocketMessageType.Close)
                {
                    if (socket.State == WebSocketState.CloseReceived)
                    {
                        await writer.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null);
                    }
                    return null;
                }
                if (closer.IsRefusing)
                {
                    message.Clear();
                    continue;
                }
                message.Advance(got.Count);
                if (message.Length > limits.MaxMessageBytes)
                {
                    message.Clear();
                    await closer.RefuseAsync(WebSocketCloseStatus.MessageTooBig, TooLong(), isReading: false);
                    return null;
                }
                if (!got.EndOfMessage)
                {
                    timer ??= time.CreateTimer(
                        _ => _ = closer.RefuseAsync(WebSocketCloseStatus.PolicyViolation, TooSlow(), isReading: true),
                        null,
                        limits.MaxMessageTime,
                        Timeout.InfiniteTimeSpan);
                    continue;
                }
                if (got.MessageType == WebSocketMessageType.Text)
                {
                    isTaken = true;
                    return message;
                }
                await writer.CloseOutputAsync(WebSocketCloseStatus.InvalidMessageType, "Messages are text.");
                return null;
            }
        }
        catch (MemoryExhaustedException exhausted)
        {
            // Returned first: other requests wait for it.
            message.Dispose();
            await closer.RefuseAsync(WebSocketCloseStatus.InternalServerError, exhausted.Error, isReading: false);
            return null;
        }
        finally
        {
            if (timer is not null) await timer.DisposeAsync();
            if (!isTaken) message.Dispose();
        }
    }

    private GatewayError TooLong() => new(ErrorCode.PayloadTooLarge, $"The message is larger than {limits.MaxMessageBytes:N0} bytes.");

    private GatewayError TooSlow() =>
        new(ErrorCode.MalformedJson, $"The message was not complete within {limits.MaxMessageTime.TotalSeconds:0.###} s.")
        {
            Remedy = "Connect again, and send a message without a pause.",
        };
}
