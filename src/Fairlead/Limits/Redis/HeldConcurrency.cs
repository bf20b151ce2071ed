using System.Collections.Concurrent;

namespace Fairlead.Limits.Redis;

/// <summary>The calls of this process that count against a limit of concurrency, to show that they still run. Thread-safe.</summary>
internal sealed class HeldConcurrency
{
    private readonly ConcurrentDictionary<string, AppliedLimits> _calls = new(StringComparer.Ordinal);

    public void Add(string member, AppliedLimits limits)
    {
        if (limits.Concurrency.Length > 0) _calls[member] = limits;
    }

    public void Remove(string member) => _calls.TryRemove(member, out _);

    /// <summary>Tells the store of all of them.</summary>
    public async Task ShowAsync(RedisRateStore store)
    {
        var calls = _calls.ToArray();
        var members = new Dictionary<LimitIdentity, List<string>>();
        foreach (var (member, limits) in calls)
        {
            foreach (var counter in limits.Concurrency)
            {
                if (!members.TryGetValue(counter.Identity, out var held)) members[counter.Identity] = held = [];
                held.Add(member);
            }
        }
        await Task.WhenAll(members.Select(counter => store.HoldAsync(counter.Key, counter.Value)));
        // A call that ended meanwhile may have been removed from the store before it was added again.
        foreach (var (member, limits) in calls)
        {
            if (!_calls.ContainsKey(member)) await store.SettleAsync(limits, default, default, member, CancellationToken.None);
        }
    }
}
