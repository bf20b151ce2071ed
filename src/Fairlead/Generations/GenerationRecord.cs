using System.Text.Json;
using Fairlead.Access;
using Fairlead.Conversation;

namespace Fairlead.Generations;

/// <summary>A stored generation, which outlives its request. Immutable.</summary>
internal sealed record GenerationRecord
{
    public required string Id { get; init; }

    public required string OrganizationId { get; init; }

    /// <summary>Only keys of this project can access it.</summary>
    public required string ProjectId { get; init; }

    /// <summary>The key that is charged.</summary>
    public required string KeyId { get; init; }

    /// <summary>Id of the request that created it.</summary>
    public required string RequestId { get; init; }

    /// <summary>Name of the dialect of the request, which is also that of the result.</summary>
    public required string Dialect { get; init; }

    /// <summary>Path of the endpoint that received the request.</summary>
    public required string Endpoint { get; init; }

    /// <summary>The requested model.</summary>
    public required string Model { get; init; }

    /// <summary>One of <see cref="CallClasses"/>.</summary>
    public required string Class { get; init; }

    /// <summary>Body of the request, unchanged; empty if it was not read.</summary>
    public required byte[] Request { get; init; }

    /// <summary>Length of the request, also if it was not read.</summary>
    public long RequestBytes { get; init; }

    /// <summary>Length of result, details and progress, also if they were not read.</summary>
    public long ResultBytes { get; init; }

    /// <summary>Headers and other facts of the request.</summary>
    public RequestContext Context { get; init; } = RequestContext.Empty;

    /// <summary>A webhook that receives the end, in addition to those of the project; null for none.</summary>
    public string? WebhookUrl { get; init; }

    /// <summary>Its line, if it is a line of a batch; otherwise null.</summary>
    public BatchLinePosition? Batch { get; init; }

    public GenerationStatus Status { get; init; }

    public Outcome? Outcome { get; init; }

    public DateTimeOffset CreatedAt { get; init; }

    /// <summary>It does not start before this time: now, or after the pause that follows a failed run.</summary>
    public DateTimeOffset AvailableAt { get; init; }

    public DateTimeOffset? StartedAt { get; init; }

    public DateTimeOffset? EndedAt { get; init; }

    /// <summary>When it expires; set when it ends.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    public DateTimeOffset? Deadline { get; init; }

    /// <summary>Runs started so far. With the owner of the lease, this number fences off a run that was taken over.</summary>
    public int Runs { get; init; }

    /// <summary>
    /// Runs that ended because their process stopped, died or could not renew their lease. They do not count against the maximum.
    /// </summary>
    public int Returns { get; init; }

    /// <summary>How often a process died during a run; negative if the generation is the cause.</summary>
    public int Suspicion { get; init; }

    /// <summary>What it holds of budgets until it ends; null for nothing.</summary>
    public JobHold? Hold { get; init; }

    /// <summary>Stored events of all runs.</summary>
    public int EventCount { get; init; }

    public bool CancelRequested { get; init; }

    /// <summary>HTTP status of the response, whose body is <see cref="Result"/>, in the dialect of the request.</summary>
    public int ResultStatus { get; init; }

    public byte[]? Result { get; init; }

    /// <summary>The JSON object that <see cref="GenerationDetails"/> writes when the generation ends.</summary>
    public byte[]? Details { get; init; }

    /// <summary>Output so far, as <see cref="GenerationProgress.ToBytes"/> writes it; only while it runs.</summary>
    public byte[]? Progress { get; init; }

    public bool IsFinal => Status is not (GenerationStatus.Queued or GenerationStatus.InProgress);
}

/// <summary>What is stored of a request besides its body: headers that change its response, and its origin.</summary>
internal sealed record RequestContext(string? AnthropicVersion, string? AnthropicBeta, string? Simulate)
{
    public static readonly RequestContext Empty = new(null, null, null);

    /// <summary>The client's id of a line of a batch; null outside of batches.</summary>
    public string? CustomId { get; init; }

    /// <summary>Address of the client, for the audit record; null in rows of earlier versions and of batches.</summary>
    public string? Address { get; init; }

    /// <summary>Whether it was queued. Otherwise it started when it was accepted.</summary>
    public bool Queued { get; init; }

    /// <summary>How the response is delivered; null in rows of earlier versions and of batches, which are jobs.</summary>
    public GenerationDelivery? Delivery { get; init; }

    /// <summary>Metadata of the caller, or null.</summary>
    public IReadOnlyDictionary<string, string>? Metadata { get; init; }

    /// <summary>The end user that the request names; null for none, and in rows of earlier versions.</summary>
    public string? EndUser { get; init; }

    /// <summary>What the content policies met in the request; null if none applied, and in rows of earlier versions.</summary>
    public Policies.Checking.CheckedInput? Policy { get; init; }
}

/// <summary>How a response is delivered.</summary>
/// <param name="Mode">sync, stream, job or auto.</param>
/// <param name="WaitSeconds">How long <c>auto</c> waits before it becomes a job; null for the others.</param>
/// <param name="Continues">Whether it continues when the client leaves.</param>
internal sealed record GenerationDelivery(string Mode, int? WaitSeconds, bool Continues)
{
    /// <summary>Whether it ends with its client although it is stored. No other run follows then.</summary>
    public bool EndsWithClient { get; init; }
}

/// <summary>Progress of a run.</summary>
/// <param name="Text">Text of the first choice.</param>
/// <param name="InputTokens">Input tokens, counted or estimated.</param>
/// <param name="OutputTokens">Estimated output tokens so far.</param>
internal sealed record GenerationProgress(string Text, long InputTokens, long OutputTokens)
{
    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, GenerationJsonContext.Default.GenerationProgress);

    public static GenerationProgress? Read(byte[]? bytes) => bytes is { Length: > 0 }
        ? JsonSerializer.Deserialize(bytes, GenerationJsonContext.Default.GenerationProgress)
        : null;
}

/// <summary>Identifies a run in all its writes. They have no effect once another run has the generation.</summary>
/// <param name="GenerationId">The generation.</param>
/// <param name="Owner">The process that runs it.</param>
/// <param name="Number">The number of the run.</param>
internal sealed record RunLease(string GenerationId, string Owner, int Number);

/// <summary>A line of a batch.</summary>
/// <param name="BatchId">The batch.</param>
/// <param name="Line">Its number among the lines that are not empty, from 1.</param>
internal sealed record BatchLinePosition(string BatchId, int Line);

/// <summary>How a generation ended, for the database.</summary>
internal sealed record GenerationEnd(
    GenerationStatus Status,
    Outcome Outcome,
    int ResultStatus,
    byte[] Result,
    byte[] Details,
    DateTimeOffset EndedAt,
    DateTimeOffset ExpiresAt);

/// <summary>Selects the generations of a list.</summary>
/// <param name="ProjectId">Only those of this project.</param>
/// <param name="Before">Only ids before this one, or null. Lists are newest first.</param>
/// <param name="Limit">Maximum number of rows.</param>
internal sealed record GenerationFilter(string ProjectId, string? Before, int Limit)
{
    /// <summary>Those that have expired at this time are not listed; null for now.</summary>
    public DateTimeOffset? Now { get; init; }

    /// <summary>Rows that a list with conditions looks at.</summary>
    public int Window { get; init; } = 4096;

    /// <summary>Whether rows may be looked at that do not match.</summary>
    public bool IsSelective =>
        Status is not null || Outcome is not null || Models is not null || Dialect is not null || CreatedAfter is not null
        || CreatedBefore is not null;

    /// <summary>Only this status, or null.</summary>
    public GenerationStatus? Status { get; init; }

    /// <summary>Only this outcome, or null.</summary>
    public Outcome? Outcome { get; init; }

    /// <summary>Only requests for one of these names of a model; null for all.</summary>
    public IReadOnlyList<string>? Models { get; init; }

    /// <summary>Only this dialect, or null.</summary>
    public string? Dialect { get; init; }

    /// <summary>Only those created at this time or later, or null.</summary>
    public DateTimeOffset? CreatedAfter { get; init; }

    /// <summary>Only those created before this time, or null.</summary>
    public DateTimeOffset? CreatedBefore { get; init; }
}
