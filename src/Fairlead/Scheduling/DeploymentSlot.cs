namespace Fairlead.Scheduling;

/// <summary>
/// The attempts at one deployment, and how long they take. Counting is thread-safe; <see cref="Queue"/> is only used under the lock of
/// <see cref="DeploymentSlots"/>.
/// </summary>
internal sealed class DeploymentSlot(string name, int number)
{
    private readonly Lock _gate = new();
    private int _taken;
    private int _waiting;
    private double _holdSeconds;

    public string Name { get; } = name;

    /// <summary>Orders the deployments of a lane.</summary>
    public int Number { get; } = number;

    public FairQueue Queue { get; } = new();

    public int Taken => Volatile.Read(ref _taken);

    /// <summary>Mean time that an attempt holds its slot, weighted to the recent ones, in seconds; 0 if none has ended.</summary>
    public double HoldSeconds => Volatile.Read(ref _holdSeconds);

    /// <summary>Takes a slot if one is free and nobody waits for it.</summary>
    public bool TryTake(int limit)
    {
        lock (_gate)
        {
            if (_waiting > 0 || _taken >= limit) return false;
            _taken++;
            return true;
        }
    }

    /// <summary>Takes a slot for a call that waits.</summary>
    public bool TryTakeForWaiting(int limit)
    {
        lock (_gate)
        {
            if (_taken >= limit) return false;
            _taken++;
            return true;
        }
    }

    /// <summary>Returns a slot. True if a call waits, which must then be served.</summary>
    /// <param name="held">How long it was held; null if it was not used.</param>
    public bool GiveBack(TimeSpan? held)
    {
        lock (_gate)
        {
            _taken--;
            if (held is { } span)
            {
                var seconds = Math.Max(span.TotalSeconds, 1e-6);
                _holdSeconds = _holdSeconds <= 0 ? seconds : (_holdSeconds * 0.9) + (seconds * 0.1);
            }
            return _waiting > 0;
        }
    }

    /// <summary>Counts a waiting call. From now on, no other call takes a slot directly.</summary>
    public void AddWaiting(int count)
    {
        lock (_gate) _waiting += count;
    }
}
