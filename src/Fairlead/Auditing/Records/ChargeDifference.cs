using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Pipeline;

namespace Fairlead.Auditing.Records;

/// <summary>
/// Why an attempt is charged something else than its provider reported, for the audit record and the reconciliation. An attempt whose
/// provider's count is charged has no difference, and its record no member for it.
/// </summary>
internal static class ChargeDifference
{
    /// <summary>The response is complete, but its usage was not reported or cannot be true.</summary>
    public const string Estimated = "estimated";

    /// <summary>The response is not complete: the stream broke, the client left, the time was up or the process was killed.</summary>
    public const string Cut = "cut";

    /// <summary>The attempt failed after it had cost something, and another one followed.</summary>
    public const string Retried = "retried";

    /// <summary>The cause, or null if the provider's own count is charged.</summary>
    public static string? CauseOf(GatewayCall call, Attempt attempt)
    {
        if (attempt.Usage.Basis == Basis.Measured) return null;
        if (!ReferenceEquals(attempt, call.Attempts[^1])) return Retried;
        // Only generations have a reason to finish.
        var isComplete = call.Operation == Operation.Chat
            ? attempt.Meter.FinishReason is not null
            : ReferenceEquals(attempt, call.Answering) || attempt is { Share: not null, Outcome: "complete" };
        return isComplete ? Estimated : Cut;
    }

    /// <summary>Appends the cause and the report of an attempt that has ended; nothing without a difference.</summary>
    public static void Append(ref JsonAppender json, GatewayCall call, Attempt attempt)
    {
        if (CauseOf(call, attempt) is not { } cause) return;
        json.Raw(AuditRecordMembers.Difference);
        json.String(cause);
        AppendReported(ref json, call, attempt);
    }

    /// <summary>Appends what the provider has reported, and what that costs; nothing without a report.</summary>
    public static void AppendReported(ref JsonAppender json, GatewayCall call, Attempt attempt)
    {
        if (attempt.Meter.Reported is not { } usage) return;
        json.Raw(AuditRecordMembers.Reported);
        UsageJson.Append(ref json, usage);
        json.Raw(AuditRecordMembers.ReportedCostUsd);
        json.Money(AttemptCharge.CostOf(call, attempt, usage).Usd);
    }
}
