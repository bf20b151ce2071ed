using System.Net.WebSockets;
using Fairlead.Delivery;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Responses;

/// <summary>
/// One connection of the WebSocket transport of Responses: 1. read a message, 2. turn it into a request, 3. start a turn unless one is in
/// progress, 4. serve the request like any other, with its events as messages, 5. end with the last event sent.
/// </summary>
internal sealed class ResponseSocket : IDisposable
{
    /// <summary>The same as at OpenAI.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(60);

    private readonly HttpContext _upgrade;
    private readonly Func<ClientExchange, Task> _serve;
    private readonly MemoryBudget _memory;
    private readonly DrainState _drain;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly IHeaderDictionary _headers;
    private readonly ResponseSession _session;
    private readonly SocketTurns _turns = new();
    private readonly SocketWriter _writer;
    private readonly SocketCloser _closer;
    private readonly SocketReader _reader;
    private CancellationTokenSource? _turnStops;
    private SocketTurn? _turn;

    /// <param name="upgrade">The request that opened the connection.</param>
    /// <param name="socket">The connection; the caller disposes it.</param>
    /// <param name="serve">Serves one request.</param>
    /// <param name="limits">The limits of messages.</param>
    /// <param name="memory">Counts messages and events.</param>
    /// <param name="drain">Counts turns.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">The log.</param>
    public ResponseSocket(
        HttpContext upgrade,
        WebSocket socket,
        Func<ClientExchange, Task> serve,
        SocketLimits limits,
        MemoryBudget memory,
        DrainState drain,
        TimeProvider time,
        ILogger logger)
    {
        _upgrade = upgrade;
        _serve = serve;
        _memory = memory;
        _drain = drain;
        _time = time;
        _logger = logger;
        _headers = SocketTurn.HeadersOf(upgrade);
        _session = new ResponseSession(memory);
        _writer = new SocketWriter(socket, time, upgrade.RequestAborted);
        _closer = new SocketCloser(socket, _writer, _turns, time);
        _reader = new SocketReader(socket, _writer, _closer, limits, memory, time);
    }

    /// <summary>
    /// Serves the connection until it is closed. <paramref name="stopping"/> lets the current response end and then closes the connection.
    /// </summary>
    public async Task RunAsync(CancellationToken stopping)
    {
        using var age = new CancellationTokenSource(Lifetime, _time);
        using var old = age.Token.UnsafeRegister(_ => _ = _closer.CloseAsync(WebSocketCloseStatus.NormalClosure, TooOld()), null);
        using var stop = stopping.UnsafeRegister(_ => _ = _closer.CloseAsync(WebSocketCloseStatus.EndpointUnavailable, null), null);
        try
        {
            // 1.
            while (await _reader.ReadAsync() is { } message) await TakeAsync(message);
        }
        catch (Exception exception) when (SocketWriter.IsGone(exception))
        {
            // The client is gone without a close frame.
        }
        finally
        {
            _closer.ReadingEnded();
            var turn = _turns.Close();
            if (_turnStops is not null) await _turnStops.CancelAsync();
            await turn;
            _turnStops?.Dispose();
        }
    }

    public void Dispose()
    {
        _writer.Dispose();
        _session.Dispose();
    }

    private async Task TakeAsync(PooledBuffer message)
    {
        // 2.
        PooledBuffer? body;
        GatewayError? error;
        using (message) (body, error) = SocketMessage.ToRequest(message.WrittenSpan, _memory);

        // 3.
        // The call of a turn ends shortly after its last event, but its client may send the next message at once.
        if (error is null && _turn is { HasSentLast: true } && _turns.Ended is { IsCompleted: false } ended)
        {
            ResponsesLog.WaitsForTurn(_logger, _turn.Id);
            await ended;
        }
        var turnEnd = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        error ??= _turns.TryStart(turnEnd.Task);
        if (error is not null)
        {
            body?.Dispose();
            await _writer.SendErrorAsync(error);
            return;
        }
        _turnStops?.Dispose();
        _turnStops = CancellationTokenSource.CreateLinkedTokenSource(_upgrade.RequestAborted);
        // Until the last event is sent, which is after the call has ended.
        _drain.Enter();
        _turn = new SocketTurn(_upgrade, _headers, _session, body!, _writer, _memory, _turnStops, _time);
        _ = ServeAsync(_turn, _turnStops, turnEnd);
    }

    /// <summary>Never throws.</summary>
    private async Task ServeAsync(SocketTurn turn, CancellationTokenSource stops, TaskCompletionSource ended)
    {
        try
        {
            // 4.
            await _serve(new ClientExchange(turn, turn));
        }
        catch (Exception exception)
        {
            if (!IsExpected(exception, stops)) ResponsesLog.TurnFailed(_logger, exception);
        }

        // 5.
        try
        {
            await turn.CompleteAsync();
        }
        catch (Exception exception)
        {
            ResponsesLog.TurnFailed(_logger, exception);
        }
        finally
        {
            turn.Dispose();
            _drain.Leave();
            ended.SetResult();
        }
    }

    // How a call may end whose client is gone.
    private static bool IsExpected(Exception exception, CancellationTokenSource stops) =>
        exception is OperationCanceledException or IOException && stops.IsCancellationRequested;

    private static GatewayError TooOld() => new(ErrorCode.Conflict, "The connection has reached its limit of 60 minutes.")
    {
        OpenAiCode = "websocket_connection_limit_reached",
        Remedy = "Connect again.",
    };
}
