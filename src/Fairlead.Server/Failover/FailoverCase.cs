namespace Fairlead.Server.Failover;

/// <summary>What a case expects where the configuration has a way out.</summary>
internal enum FailoverRecovery
{
    /// <summary>The right text: the primary deployment serves the request in the end.</summary>
    Always,

    /// <summary>The right text from another deployment; if there is none, the text or a clear error.</summary>
    WithOtherDeployment,

    /// <summary>
    /// The right text from another deployment if the response is not streamed. A stream is continued by another deployment where rescue
    /// allows it; otherwise also a clear error.
    /// </summary>
    WithOtherDeploymentOrRescue,

    /// <summary>The right text from the larger model if there is one; otherwise also a clear error.</summary>
    WithLargerModel,

    /// <summary>The right text from another deployment if rejections fail over; otherwise also a clear error.</summary>
    WithContentFailover,
}

/// <summary>One case of the suite. Immutable; thread-safe.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Summary">What happens, in one sentence.</param>
/// <param name="Recovery">What is expected.</param>
/// <param name="Errors">Codes of the errors that are clear for this case; with the codes that OpenAI's clients know.</param>
/// <param name="Script">The fault of each request.</param>
internal sealed record FailoverCase(
    string Name, string Summary, FailoverRecovery Recovery, IReadOnlyList<string> Errors, Func<SimulatedRequest, SimulatedFault> Script)
{
    /// <summary>Whether the primary deployment fails until <see cref="FailoverWorld.Recover"/>.</summary>
    public bool IsFlapping { get; init; }

    /// <summary>Whether what was charged is compared with what the providers reported.</summary>
    public bool ChecksAccounting { get; init; }

    private static readonly string[] Failed = ["provider_error", "provider_unavailable", "server_error"];

    private static readonly string[] Lost = [.. Failed, "provider_lost", "provider_timeout"];

    /// <summary>All cases, in the order in which they run.</summary>
    public static readonly IReadOnlyList<FailoverCase> All =
    [
        new("rate_limit", "The first request gets 429 without Retry-After.", FailoverRecovery.WithOtherDeployment,
            ["rate_limit_exceeded"], First(new(SimulatedFaultKind.Status, 429))),
        new("rate_limit_retry_after", "The first request gets 429 with Retry-After: 1.", FailoverRecovery.WithOtherDeployment,
            ["rate_limit_exceeded"], First(new(SimulatedFaultKind.Status, 429, 1))),
        new("one_500", "The first request gets 500.", FailoverRecovery.WithOtherDeployment, Failed,
            First(new(SimulatedFaultKind.Status, 500))),
        new("lasting_503", "The primary deployment always returns 503.", FailoverRecovery.WithOtherDeployment, Failed,
            Primary(new(SimulatedFaultKind.Status, 503))),
        new("reset_before_headers", "The connection of the first request is reset before the response.",
            FailoverRecovery.WithOtherDeployment, Failed, First(new(SimulatedFaultKind.Reset))),
        new("silence", "The primary deployment never responds.", FailoverRecovery.WithOtherDeployment,
            ["provider_timeout"], Primary(new(SimulatedFaultKind.Silence))),
        new("slow_first_token", "The primary deployment responds late, but in time.", FailoverRecovery.Always,
            [], Primary(new(SimulatedFaultKind.SlowFirstToken))),
        new("cut", "The connection of the first request is reset in the middle of the text.",
            FailoverRecovery.WithOtherDeploymentOrRescue, Lost, First(new(SimulatedFaultKind.Cut))),
        new("stall", "The first response stops in the middle of the text.", FailoverRecovery.WithOtherDeploymentOrRescue, Lost,
            First(new(SimulatedFaultKind.Stall))),
        new("malformed_event", "An event of the first response is not valid JSON.",
            FailoverRecovery.WithOtherDeploymentOrRescue, Lost, First(new(SimulatedFaultKind.Malformed))),
        new("missing_end", "The first response ends without a finish reason.", FailoverRecovery.WithOtherDeploymentOrRescue, Lost,
            First(new(SimulatedFaultKind.MissingEnd))),
        new("context_overflow", "The primary deployment refuses the request as too long.", FailoverRecovery.WithLargerModel,
            ["context_length_exceeded"], Primary(new(SimulatedFaultKind.Overflow))),
        new("content_rejection", "The content policy of the primary deployment rejects the request.", FailoverRecovery.WithContentFailover,
            ["provider_rejected", "content_filter", "content_policy_violation", "invalid_prompt"],
            Primary(new(SimulatedFaultKind.ContentRejection))),
        new("prefill_refused", "The first response is cut, and no deployment continues a text.",
            FailoverRecovery.WithOtherDeploymentOrRescue, [.. Lost, "provider_rejected"],
            request => request.Prefill is not null ? new(SimulatedFaultKind.PrefillRefusal) : First(new(SimulatedFaultKind.Cut))(request)),
        new("flapping_primary", "The primary deployment returns 503 for a while, and gets calls again after it has recovered.",
            FailoverRecovery.WithOtherDeployment, Failed, Primary(new(SimulatedFaultKind.Status, 503))) { IsFlapping = true },
        new("accounting", "The first request gets 500; only the response that arrived is charged.", FailoverRecovery.WithOtherDeployment,
            Failed, First(new(SimulatedFaultKind.Status, 500))) { ChecksAccounting = true },
        new("wrong_model", "The primary deployment names another model than the one it was asked for.", FailoverRecovery.Always,
            [], Primary(new(SimulatedFaultKind.WrongModel))),
    ];

    // Of all requests.
    private static Func<SimulatedRequest, SimulatedFault> First(SimulatedFault fault) =>
        request => request is { IsPrimary: true, Number: 1 } ? fault : SimulatedFault.None;

    private static Func<SimulatedRequest, SimulatedFault> Primary(SimulatedFault fault) =>
        request => request.IsPrimary ? fault : SimulatedFault.None;
}
