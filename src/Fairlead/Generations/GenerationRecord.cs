using System.Text.Json;
using Fairlead.Access;
using Fairlead.Conversation;

namespace Fairlead.Generations;

/// <summary>A generation that outlives its request, as the database keeps it. Immutable.</summary>
internal sealed record GenerationRecord
{
    public required string Id { get; init; }

    public required string OrganizationId { get; init; }

    /// <summary>Only keys of this project see it.</summary>
    public required string ProjectId { get; init; }

    /// <summary>The key it is charged to.</summary>
    public required string KeyId { get; init; }

    /// <summary>Id of the request that began it.</summary>
    public required string RequestId { get; init; }

    /// <summary>Name of the dialect that it was asked in, in which its result is given.</summary>
    public required string Dialect { get; init; }

    /// <summary>Path of the endpoint that took it.</summary>
    public required string Endpoint { get; init; }

    /// <summary>The model asked for.</summary>
    public required string Model { get; init; }

    /// <summary>One of <see cref="CallClasses"/>.</summary>
    public required string Class { get; init; }

    /// <summary>The request's body as it came.</summary>
    public required byte[] Request { get; init; }

    /// <summary>Length of the request, also where it was not read.</summary>
    public long RequestBytes { get; init; }

    /// <summary>Length of what came of it, also where it was not read.</summary>
    public long ResultBytes { get; init; }

    /// <summary>What its headers said.</summary>
    public RequestContext Context { get; init; } = RequestContext.Empty;

    /// <summary>Where its end is told beside the project's webhooks; null for nowhere.</summary>
    public string? WebhookUrl { get; init; }

    /// <summary>The line of a batch that it is, or null.</summary>
    public BatchPlace? Batch { get; init; }

    public GenerationStatus Status { get; init; }

    public Outcome? Outcome { get; init; }

    public DateTimeOffset CreatedAt { get; init; }

    /// <summary>Not begun before: now, or after the pause behind a failed run.</summary>
    public DateTimeOffset AvailableAt { get; init; }

    public DateTimeOffset? StartedAt { get; init; }

    public DateTimeOffset? EndedAt { get; init; }

    /// <summary>When it is forgotten; set when it ends.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    public DateTimeOffset? Deadline { get; init; }

    /// <summary>Runs begun so far. Together with the owner of the lease it fences off a run that was given up for dead.</summary>
    public int Runs { get; init; }

    /// <summary>Runs that ended because their process stopped, died or could not renew their lease; they do not count against the maximum of runs.</summary>
    public int Returns { get; init; }

    /// <summary>How often a process died while it ran; below zero when it was found to be the cause.</summary>
    public int Suspicion { get; init; }

    /// <summary>Events kept so far, of all runs.</summary>
    public int EventCount { get; init; }

    public bool CancelRequested { get; init; }

    /// <summary>HTTP status and body of the finished answer, in the dialect that was asked in.</summary>
    public int ResultStatus { get; init; }

    public byte[]? Result { get; init; }

    /// <summary>The members of the generation object that are known when it ends, as one JSON object.</summary>
    public byte[]? Details { get; init; }

    /// <summary>What has been made so far, as <see cref="GenerationProgress.ToBytes"/> writes it; only while it runs.</summary>
    public byte[]? Progress { get; init; }

    public bool IsFinal => Status is not (GenerationStatus.Queued or GenerationStatus.InProgress);
}

/// <summary>What is kept of a request besides its body: headers that change its response, and where it came from.</summary>
internal sealed record RequestContext(string? AnthropicVersion, string? AnthropicBeta, string? Simulate)
{
    public static readonly RequestContext Empty = new(null, null, null);

    /// <summary>How the sender of a batch finds the answer to a line; null outside of batches.</summary>
    public string? CustomId { get; init; }

    /// <summary>Address of the client, for the audit record; null in rows of earlier versions and of batches.</summary>
    public string? Address { get; init; }

    /// <summary>Whether it was put into the queue, rather than begun when it was accepted.</summary>
    public bool Queued { get; init; }

    /// <summary>How its answer reaches the caller; null in rows of earlier versions and of batches, which are jobs.</summary>
    public GenerationDelivery? Delivery { get; init; }

    /// <summary>The caller's own pairs, or null.</summary>
    public IReadOnlyDictionary<string, string>? Metadata { get; init; }
}

/// <summary>How an answer reaches its caller.</summary>
/// <param name="Mode">sync, stream, job or auto.</param>
/// <param name="WaitSeconds">How long <c>auto</c> waits before it is a job; null for the others.</param>
/// <param name="Continues">Whether it goes on when the client leaves.</param>
internal sealed record GenerationDelivery(string Mode, int? WaitSeconds, bool Continues);

/// <summary>How far a run has come.</summary>
/// <param name="Text">Text of the first choice.</param>
/// <param name="InputTokens">Tokens of the input, as far as they are known.</param>
/// <param name="OutputTokens">An estimate of what has been made.</param>
internal sealed record GenerationProgress(string Text, long InputTokens, long OutputTokens)
{
    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, GenerationJsonContext.Default.GenerationProgress);

    public static GenerationProgress? Read(byte[]? bytes) => bytes is { Length: > 0 } ? JsonSerializer.Deserialize(bytes, GenerationJsonContext.Default.GenerationProgress) : null;
}

/// <summary>What names a run in every write of it: none counts once another run has the generation.</summary>
/// <param name="GenerationId">The generation.</param>
/// <param name="Owner">The process that runs it.</param>
/// <param name="Number">Number of the run.</param>
internal sealed record RunLease(string GenerationId, string Owner, int Number);

/// <summary>A line of a batch.</summary>
/// <param name="BatchId">The batch.</param>
/// <param name="Line">Its number among the lines that are not empty, from 1.</param>
internal sealed record BatchPlace(string BatchId, int Line);

/// <summary>How a run ended, for the database.</summary>
internal sealed record GenerationEnd(GenerationStatus Status, Outcome Outcome, int ResultStatus, byte[] Result, byte[] Details, DateTimeOffset EndedAt, DateTimeOffset ExpiresAt);

/// <summary>Which generations a list shows.</summary>
/// <param name="ProjectId">Those of this project only.</param>
/// <param name="Status">Only this status, or null.</param>
/// <param name="Model">Only this model as asked for, or null.</param>
/// <param name="Before">Only ids before this one, or null: lists go back in time.</param>
/// <param name="Limit">At most so many.</param>
internal sealed record GenerationFilter(string ProjectId, GenerationStatus? Status, string? Model, string? Before, int Limit)
{
    /// <summary>Only those created at this time or later, or null.</summary>
    public DateTimeOffset? CreatedAfter { get; init; }

    /// <summary>Only those created before this time, or null.</summary>
    public DateTimeOffset? CreatedBefore { get; init; }
}
