using Fairlead.Errors;

namespace Fairlead.Responses;

/// <summary>The turns of one connection: one response at a time, and none after the connection started to close. Thread-safe.</summary>
internal sealed class SocketTurns
{
    private readonly Lock _gate = new();
    private Task _current = Task.CompletedTask;
    private bool _isClosing;

    /// <summary>Registers a turn before it starts, so that a close that starts meanwhile waits for it.</summary>
    /// <param name="ended">Completes when the turn has ended.</param>
    /// <returns>Why it may not start, or null.</returns>
    public GatewayError? TryStart(Task ended)
    {
        lock (_gate)
        {
            if (!_current.IsCompleted)
            {
                return new GatewayError(ErrorCode.Conflict, "A response is in progress on this connection.")
                {
                    Remedy = "Wait for its last event, or open another connection.",
                };
            }
            if (_isClosing)
            {
                return new GatewayError(ErrorCode.ShuttingDown, "The connection is closing.") { RetryAfter = TimeSpan.FromSeconds(1) };
            }
            _current = ended;
            return null;
        }
    }

    /// <summary>Completes when the current turn has ended.</summary>
    public Task Ended
    {
        get
        {
            lock (_gate) return _current;
        }
    }

    /// <summary>Refuses further turns. The result completes when the current one has ended.</summary>
    public Task Close()
    {
        lock (_gate)
        {
            _isClosing = true;
            return _current;
        }
    }
}
