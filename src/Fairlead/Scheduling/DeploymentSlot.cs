namespace Fairlead.Scheduling;

/// <summary>
/// The attempts at one deployment, and how long they take. Counting is thread-safe; <see cref="Queue"/> is only used under the lock of
/// <see cref="DeploymentSlots"/>.
/// </summary>
/// <param name="name">Name of the deployment.</param>
/// <param name="number">Orders the deployments of a lane.</param>
/// <param name="maximum">Its maximum until <see cref="SetMaximum"/>; null for none.</param>
internal sealed class DeploymentSlot(string name, int number, int? maximum)
{
    private const int Unlimited = int.MaxValue;

    private readonly Lock _gate = new();
    private int _maximum = maximum ?? Unlimited;
    private int _taken;
    private int _waiting;
    private double _holdSeconds;

    public string Name { get; } = name;

    public int Number { get; } = number;

    public FairQueue Queue { get; } = new();

    public int Taken => Volatile.Read(ref _taken);

    /// <summary>Mean time that an attempt holds its slot, weighted to the recent ones, in seconds; 0 if none has ended.</summary>
    public double HoldSeconds => Volatile.Read(ref _holdSeconds);

    /// <summary>
    /// Attempts at once that are in force now, for all models and whichever catalogue a call has. The only place that decides it.
    /// </summary>
    public int Limit => Volatile.Read(ref _maximum);

    /// <summary>Whether a slot is free.</summary>
    public bool HasRoom => Taken < Limit;

    /// <summary>Sets <c>maxConcurrency</c>; null for none. Attempts that run continue.</summary>
    public void SetMaximum(int? value) => Volatile.Write(ref _maximum, value ?? Unlimited);

    /// <summary>Takes a slot if one is free and nobody waits for it.</summary>
    public bool TryTake()
    {
        lock (_gate)
        {
            if (_waiting > 0 || _taken >= Limit) return false;
            _taken++;
            return true;
        }
    }

    /// <summary>Takes a slot for a call that waits.</summary>
    public bool TryTakeForWaiting()
    {
        lock (_gate)
        {
            if (_taken >= Limit) return false;
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
