namespace Fairlead.Pipeline;

/// <summary>The phases of a call, in the order of <c>timing_ms</c>.</summary>
internal enum Phase
{
    Auth,
    Validate,
    Policy,
    Limit,
    Queue,
    Coalesce,
    Connect,
    FirstToken,
    Generate,
    Total,
}

/// <summary>
/// How long each phase of one call took, and the phases that an app's own pipeline reports. Thread-safe.
/// </summary>
public sealed class CallTimings
{
    private readonly TimeProvider _time;
    private readonly long _startedAt;
    private readonly PhaseTicks _ticks = new();
    private Dictionary<string, TimeSpan>? _own;

    internal CallTimings(TimeProvider time)
    {
        _time = time;
        _startedAt = time.GetTimestamp();
    }

    /// <summary>Timestamp of the call's arrival.</summary>
    internal long StartedAt => _startedAt;

    /// <summary>
    /// Adds <paramref name="duration"/> to a phase of the app's own pipeline, such as <c>retrieval</c>. Shown in <c>timing_ms</c> and
    /// <c>Server-Timing</c>.
    /// </summary>
    /// <param name="phase">1 to 64 letters, digits, <c>_</c> or <c>-</c>; a name of <see cref="Phase"/> is refused.</param>
    /// <param name="duration">Not negative.</param>
    /// <exception cref="ArgumentException">The name has another form or is one of Fairlead's own.</exception>
    public void Record(string phase, TimeSpan duration)
    {
        ArgumentException.ThrowIfNullOrEmpty(phase);
        ArgumentOutOfRangeException.ThrowIfLessThan(duration, TimeSpan.Zero);
        if (phase.Length > 64 || phase.AsSpan().ContainsAnyExcept(NameCharacters))
        {
            throw new ArgumentException("A phase is 1 to 64 letters, digits, '_' or '-'.", nameof(phase));
        }
        if (Array.IndexOf(Names, phase) >= 0) throw new ArgumentException($"The phase '{phase}' is Fairlead's own.", nameof(phase));
        lock (_ticks.Gate)
        {
            _own ??= [];
            if (_own.Count >= 32 && !_own.ContainsKey(phase)) return;
            _own[phase] = _own.GetValueOrDefault(phase) + duration;
        }
    }

    internal static readonly string[] Names =
        ["auth", "validate", "policy", "limit", "queue", "coalesce", "connect", "first_token", "generate", "total"];

    private static readonly System.Buffers.SearchValues<char> NameCharacters =
        System.Buffers.SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

    internal long Now() => _time.GetTimestamp();

    /// <summary>Adds the time since <paramref name="since"/> (a timestamp) to a phase.</summary>
    internal void Add(Phase phase, long since) => _ticks[phase] += _time.GetTimestamp() - since;

    /// <summary>Sets a phase to the time since <paramref name="since"/> (a timestamp).</summary>
    internal void Set(Phase phase, long since) => _ticks[phase] = Math.Max(1, _time.GetTimestamp() - since);

    /// <summary>Sets a phase to <paramref name="ticks"/> of the call's clock.</summary>
    internal void SetTicks(Phase phase, long ticks) => _ticks[phase] = ticks;

    internal TimeSpan Elapsed => _time.GetElapsedTime(_startedAt);

    /// <summary>Milliseconds of a phase; 0 if the call had no such phase.</summary>
    internal double Milliseconds(Phase phase) => _ticks[phase] * 1000.0 / _time.TimestampFrequency;

    /// <summary>Phases that the app's pipeline reported.</summary>
    internal IReadOnlyList<KeyValuePair<string, TimeSpan>> Own
    {
        get
        {
            if (_own is null) return [];
            lock (_ticks.Gate) return [.. _own];
        }
    }

    private struct PhaseTicks
    {
        private readonly long[] _values = new long[10];

        public PhaseTicks()
        {
        }

        public readonly object Gate => _values;

        public readonly ref long this[Phase phase] => ref _values[(int)phase];
    }
}
