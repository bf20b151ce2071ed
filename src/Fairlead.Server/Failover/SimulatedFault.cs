namespace Fairlead.Server.Failover;

/// <summary>What goes wrong with one request at a simulated provider.</summary>
internal enum SimulatedFaultKind
{
    /// <summary>Nothing: the whole right text.</summary>
    None,

    /// <summary>An error with a status.</summary>
    Status,

    /// <summary>The connection is reset before the response.</summary>
    Reset,

    /// <summary>No response.</summary>
    Silence,

    /// <summary>The response starts late.</summary>
    SlowFirstToken,

    /// <summary>The connection is reset in the middle of the response.</summary>
    Cut,

    /// <summary>Nothing follows after the middle of the response.</summary>
    Stall,

    /// <summary>An event in the middle, or the whole body, is not valid JSON.</summary>
    Malformed,

    /// <summary>The response ends without its end: no finish reason, no last event.</summary>
    MissingEnd,

    /// <summary>The request does not fit the context window.</summary>
    Overflow,

    /// <summary>The content policy rejects the request.</summary>
    ContentRejection,

    /// <summary>A continuation of a text of the assistant is refused.</summary>
    PrefillRefusal,

    /// <summary>The response names another model.</summary>
    WrongModel,
}

/// <summary>A fault and its details.</summary>
/// <param name="Kind">What goes wrong.</param>
/// <param name="Status">The status of <see cref="SimulatedFaultKind.Status"/>.</param>
/// <param name="RetryAfter">Seconds of its <c>Retry-After</c>; null for no header.</param>
internal readonly record struct SimulatedFault(SimulatedFaultKind Kind, int Status = 0, int? RetryAfter = null)
{
    public static readonly SimulatedFault None;

    /// <summary>Whether a stream is lost after it has started.</summary>
    public bool IsMidStream => Kind is SimulatedFaultKind.Cut or SimulatedFaultKind.Stall or SimulatedFaultKind.Malformed
        or SimulatedFaultKind.MissingEnd;
}

/// <summary>A request that a simulated provider received.</summary>
/// <param name="Provider">Name of the provider in the configuration.</param>
/// <param name="Model">Name of the model at the provider.</param>
/// <param name="IsStream">Whether a stream was requested.</param>
/// <param name="Prefill">Text of the assistant at the end of the conversation, to be continued; null for none.</param>
internal sealed record SimulatedRequest(string Provider, string Model, bool IsStream, string? Prefill)
{
    /// <summary>Name of the deployment, as in <c>attempts</c>.</summary>
    public string Deployment => $"{Provider}/{Model}";

    /// <summary>Number of the request at its deployment, from 1.</summary>
    public int Number { get; init; }

    /// <summary>Whether its deployment got the first request of all.</summary>
    public bool IsPrimary { get; init; }
}
