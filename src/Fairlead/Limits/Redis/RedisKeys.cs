using System.Runtime.CompilerServices;
using StackExchange.Redis;

namespace Fairlead.Limits.Redis;

/// <summary>Names of keys. All keys of an organization have it as their hash tag, so they are in one hash slot. Thread-safe.</summary>
internal static class RedisKeys
{
    private static readonly ConditionalWeakTable<AppliedLimits, RedisKey[]> Known = [];

    /// <summary>A sorted set of the nodes that are alive, by the time at which they expire.</summary>
    public static RedisKey Nodes { get; } = "fairlead:nodes";

    /// <summary>The keys of all rates of a call, then those of its concurrency.</summary>
    public static RedisKey[] Of(AppliedLimits limits) => Known.GetValue(limits, static limits =>
        [.. limits.Rates.Select(rate => Of(rate.Identity)), .. limits.Concurrency.Select(counter => Of(counter.Identity))]);

    /// <summary>Exists when a report of usage was counted.</summary>
    public static RedisKey OfReport(RateUse use) => $"fairlead:{{{use.Rate.OrganizationId}}}:report:{use.Report}";

    /// <summary>The key of one rate or concurrency.</summary>
    public static RedisKey Of(LimitIdentity identity) =>
        $"fairlead:{{{identity.OrganizationId}}}:{identity.Scope.ToWire()}:{identity.Name.ToWire()}:{identity.Class}:{identity.ScopeId}:"
        + identity.Model;
}
