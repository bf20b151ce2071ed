namespace Fairlead.Limits.Redis;

/// <summary>
/// Opens the circuit when Redis is silent while something waits for it, or when it responds to others and something waits for long. Both are
/// counted in turns of this watch, not in time: a process that is busy (its first calls, a collection of memory) delays its turns as much as
/// the responses that it has not read yet. One connection responds in order; in a cluster, the driver's own limit of a second ends the waits
/// for a part that is silent. Thread-safe, except for <see cref="Look"/>, which has one caller.
/// </summary>
internal sealed class RedisWatch(RedisCircuit circuit)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    /// <summary>Turns without any response: 0.2 to 0.3 seconds after the first one that waits.</summary>
    private const int MaxSilent = 3;

    /// <summary>Turns that one waits while others get responses: 0.9 to 1 second.</summary>
    private const int MaxSlow = 10;

    // What had been sent at the last turns, the oldest at the place of the next.
    private readonly long[] _sentBefore = new long[MaxSlow - 1];
    private long _sent;
    private long _received;
    private long _seen;
    private int _silent;
    private int _turn;

    /// <summary>What was sent and has no response.</summary>
    public long Waiting => Interlocked.Read(ref _sent) - Interlocked.Read(ref _received);

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
        var sent = Interlocked.Read(ref _sent);
        _silent = sent > received && received == _seen ? _silent + 1 : 0;
        _seen = received;
        // There are fewer responses than commands of that turn, so one of these has none, in whatever order they come.
        var isSlow = received < _sentBefore[_turn];
        _sentBefore[_turn] = sent;
        _turn = (_turn + 1) % _sentBefore.Length;
        if (_silent < MaxSilent && !isSlow) return;
        _silent = 0;
        if (circuit.IsAvailable) circuit.Open(new TimeoutException());
    }
}
