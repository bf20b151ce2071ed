using System.Collections.Concurrent;

namespace Fairlead.Limits.Redis;

/// <summary>
/// The rates of which something was used that the store does not know, and its reports. A report that fails is sent again under the same
/// name, so it counts once. Thread-safe, except for <see cref="ReportAsync(RedisRateStore)"/>, which has one caller at a time.
/// </summary>
/// <param name="node">Names the process.</param>
internal sealed class UnreportedRates(string node)
{
    /// <summary>The second reports what was used while an earlier report was sent again.</summary>
    private const int MaxRounds = 2;

    private readonly ConcurrentDictionary<RateBucket, Report> _rates = new();
    private long _reports;

    /// <summary>Something of these rates may have to be reported. Needs the lock of the organization.</summary>
    public void Mark(AppliedLimits limits)
    {
        foreach (var rate in limits.Rates)
        {
            if (rate.Unreported != 0) _rates.TryAdd(rate, new Report(limits.Accounts));
        }
    }

    /// <summary>Reports all of it.</summary>
    public async Task ReportAsync(RedisRateStore store)
    {
        for (var round = 0; round < MaxRounds && !_rates.IsEmpty; round++)
        {
            await RedisBatches.ForEachAsync(
                _rates, one => Take(one.Key, one.Value) is { } use ? ReportAsync(store, one.Key, one.Value, use) : Task.CompletedTask);
        }
    }

    private static async Task ReportAsync(RedisRateStore store, RateBucket rate, Report report, RateUse use)
    {
        await store.AddAsync(use);
        lock (report.Accounts.Gate)
        {
            rate.Reported();
            report.Name = null;
        }
    }

    private RateUse? Take(RateBucket rate, Report report)
    {
        lock (report.Accounts.Gate)
        {
            var amount = rate.TakeUnreported(report.Accounts.Clock.Time.GetTimestamp());
            if (amount > 0)
                return new RateUse(rate.Identity, rate.WholeLimit, amount, report.Name ??= $"{node}:{Interlocked.Increment(ref _reports)}");
            _rates.TryRemove(rate, out _);
            return null;
        }
    }

    private sealed class Report(OrganizationAccounts accounts)
    {
        public OrganizationAccounts Accounts { get; } = accounts;

        /// <summary>Of the report that was sent and has no response; null if there is none.</summary>
        public string? Name { get; set; }
    }
}
