using System.Collections.Concurrent;

namespace Fairlead.Limits.Redis;

/// <summary>
/// The calls of this process that count against a limit of concurrency, to show that they still run, and those that have ended and may still
/// count there. Thread-safe.
/// </summary>
internal sealed class HeldConcurrency
{
    private readonly ConcurrentDictionary<string, Held> _calls = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, AppliedLimits> _ended = new(StringComparer.Ordinal);

    /// <param name="member">The call.</param>
    /// <param name="limits">What applies to it.</param>
    /// <param name="isSent">Whether the store may know it.</param>
    public void Add(string member, AppliedLimits limits, bool isSent)
    {
        if (limits.Concurrency.Length > 0) _calls[member] = new Held(limits) { IsSent = isSent };
    }

    /// <summary>A call has ended. The store has to be told.</summary>
    /// <returns>Whether it may know the call.</returns>
    public bool Remove(string member) => _calls.TryRemove(member, out var call) && call.IsSent;

    /// <summary>A call that the store may know does not run, and nobody else tells the store.</summary>
    public void End(string member, AppliedLimits limits)
    {
        if (limits.Concurrency.Length > 0) _ended[member] = limits;
    }

    /// <summary>Tells the store of all calls that run, and of those that have ended.</summary>
    public async Task ShowAsync(RedisRateStore store)
    {
        await EndAsync(store);
        var calls = _calls.ToArray();
        foreach (var (_, call) in calls) call.IsSent = true;
        try
        {
            await RedisBatches.ForEachAsync(
                ByCounter(calls.Select(call => (call.Key, call.Value.Limits))), counter => store.HoldAsync(counter.Key, counter.Value));
        }
        finally
        {
            // A call that ended meanwhile may have been removed from the store before it was added again.
            foreach (var (member, call) in calls)
            {
                if (!_calls.ContainsKey(member)) End(member, call.Limits);
            }
        }
        await EndAsync(store);
    }

    /// <summary>Tells the store of the calls that have ended. It is told again if that fails.</summary>
    public async Task EndAsync(RedisRateStore store)
    {
        foreach (var call in await TellEndedAsync(store)) _ended.TryRemove(call);
    }

    /// <summary>Tells the store of the calls that have ended. <see cref="EndAsync"/> tells it again.</summary>
    /// <returns>What it was told.</returns>
    public async Task<KeyValuePair<string, AppliedLimits>[]> TellEndedAsync(RedisRateStore store)
    {
        if (_ended.IsEmpty) return [];
        var ended = _ended.ToArray();
        await RedisBatches.ForEachAsync(
            ByCounter(ended.Select(call => (call.Key, call.Value))), counter => store.EndAsync(counter.Key, counter.Value));
        return ended;
    }

    private static Dictionary<LimitIdentity, List<string>> ByCounter(IEnumerable<(string Member, AppliedLimits Limits)> calls)
    {
        var members = new Dictionary<LimitIdentity, List<string>>();
        foreach (var (member, limits) in calls)
        {
            foreach (var counter in limits.Concurrency)
            {
                if (!members.TryGetValue(counter.Identity, out var held)) members[counter.Identity] = held = [];
                held.Add(member);
            }
        }
        return members;
    }

    private sealed class Held(AppliedLimits limits)
    {
        private volatile bool _isSent;

        public AppliedLimits Limits { get; } = limits;

        public bool IsSent
        {
            get => _isSent;
            set => _isSent = value;
        }
    }
}
