using System.Collections.Concurrent;
using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>
/// What each key usually gets from each model, for calls whose output tokens have a rate. Thread-safe; its memory has a limit.
/// </summary>
internal sealed class OutputHistories
{
    /// <summary>About 300 bytes each. Beyond this, no history of another key and model begins until an idle one is dropped.</summary>
    private const int Max = 20_000;

    private readonly ConcurrentDictionary<(string Key, string Model), OutputHistory> _histories = new();

    public int Count => _histories.Count;

    public long? P90Of(GatewayCall call) => _histories.TryGetValue((call.Caller.KeyId, call.Model.Id), out var known) ? known.P90 : null;

    public void Add(string keyId, string model, long outputTokens)
    {
        if (outputTokens <= 0) return;
        if (!_histories.TryGetValue((keyId, model), out var history))
        {
            if (_histories.Count >= Max) return;
            history = _histories.GetOrAdd((keyId, model), static _ => new OutputHistory());
        }
        history.IsRecent = true;
        history.Add(outputTokens);
    }

    /// <summary>When more than half of the room is used, drops the histories that were not used since the last sweep.</summary>
    public void Sweep()
    {
        var isFull = _histories.Count > Max / 2;
        foreach (var (key, history) in _histories)
        {
            if (isFull && !history.IsRecent) _histories.TryRemove(new(key, history));
            history.IsRecent = false;
        }
    }
}
