namespace Fairlead.Limits.Redis;

/// <summary>
/// Opens the circuit when Redis is silent while something waits for it. Silence is counted in turns of this watch, not in time: a process
/// that is busy (its first calls, a collection of memory) delays its turns as much as the responses that it has not read yet. Thread-safe.
/// </summary>
internal sealed class RedisWatch(RedisCircuit circuit)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    /// <summary>Turns without a response: 0.2 to 0.3 seconds after the first one that waits.</summary>
    private const int MaxSilent = 3;

    private long _sent;
    private long _received;
    private long _seen;
    private int _silent;

    public void Sent() => Interlocked.Increment(ref _sent);

    /// <summary>A response, an error, or the end of the wait for one.</summary>
    public void Received() => Interlocked.Increment(ref _received);

    public async Task RunAsync(TimeProvider time, CancellationToken cancellationToken)
    {
        while (true)
        {
            // Not a periodic timer: delayed turns must not follow each other at once.
            await Task.Delay(Interval, time, cancellationToken);
            Look();
        }
    }

    /// <summary>One turn.</summary>
    public void Look()
    {
        var received = Interlocked.Read(ref _received);
        var isWaiting = Interlocked.Read(ref _sent) > received;
        _silent = isWaiting && received == _seen ? _silent + 1 : 0;
        _seen = received;
        if (_silent < MaxSilent) return;
        _silent = 0;
        if (circuit.IsAvailable) circuit.Open(new TimeoutException());
    }
}
