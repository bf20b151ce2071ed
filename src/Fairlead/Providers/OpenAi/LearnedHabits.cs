using System.Collections.Concurrent;

namespace Fairlead.Providers.OpenAi;

/// <summary>
/// What a server was found not to have or not to take, remembered for an hour: after that it is asked again, since servers are updated. Thread-safe.
/// </summary>
internal sealed class LearnedHabits(TimeProvider time)
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromHours(1);

    private readonly ConcurrentDictionary<(string Habit, string Model), long> _learned = new();

    public bool Knows(string habit, string model = "")
    {
        if (_learned.IsEmpty || !_learned.TryGetValue((habit, model), out var since)) return false;
        if (time.GetElapsedTime(since) < Lifetime) return true;
        _learned.TryRemove(KeyValuePair.Create((habit, model), since));
        return false;
    }

    public void Forget(string habit, string model = "") => _learned.TryRemove((habit, model), out _);

    public void Learn(string habit, string model = "") => _learned[(habit, model)] = time.GetTimestamp();
}
