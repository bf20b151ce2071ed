using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Routing;

/// <summary>
/// Why an attempt was made where it was made: <c>reason</c> in <c>attempts</c>, and <c>fairlead.attempt.reason</c> in the trace. The
/// strategies of <see cref="Catalogue.SelectionStrategies"/> are reasons too.
/// </summary>
internal static class AttemptReasons
{
    /// <summary>It is the only one that the call may use.</summary>
    public const string Only = "only";

    /// <summary>It has the lowest priority number.</summary>
    public const string Priority = "priority";

    /// <summary>The request names it in <c>route.order</c>.</summary>
    public const string Order = "order";

    /// <summary>The last attempt there failed, and it is tried again.</summary>
    public const string Retry = "retry";

    /// <summary>The attempts elsewhere failed.</summary>
    public const string Failover = "failover";

    /// <summary>The preferred ones are open.</summary>
    public const string BreakerOpen = "breaker_open";

    /// <summary>The preferred ones are drained.</summary>
    public const string Drained = "drained";

    /// <summary>The preferred ones have no free slot.</summary>
    public const string Full = "full";

    /// <summary>The preferred ones cannot serve the request.</summary>
    public const string Unsupported = "unsupported";

    /// <summary>All were full, and it was the first with a free slot.</summary>
    public const string Queue = "queue";

    /// <summary>It is open, and this call tests it.</summary>
    public const string Test = "test";

    /// <summary>The gateway probes the deployment.</summary>
    public const string Probe = "probe";

    /// <summary>The provider rejected the key of the last attempt, and has another one.</summary>
    public const string OtherKey = "other_key";

    /// <summary>The request did not fit the model of the last attempt.</summary>
    public const string Overflow = "overflow";

    /// <summary>The output of the last attempt violated its schema.</summary>
    public const string Repair = "repair";

    /// <summary>The stream of the last attempt was lost, and this one continues it.</summary>
    public const string Rescue = "rescue";

    /// <summary>Why another attempt follows the earlier ones; null for the first.</summary>
    /// <param name="call">The call, with the new attempt.</param>
    public static string? AfterOthers(GatewayCall call) => call.Attempts is [.., var last, _] && call.Attempts.Count - 1 > call.CoveredAttempts
        ? last.HasOtherKey ? OtherKey
            : call.Rescue is { IsRescuing: true } ? Rescue
            : call.IsRepair && last.Error is null ? Repair
            : last.Error is { Code: ErrorCode.ContextLengthExceeded } ? Overflow
            : Failover
        : null;
}
