using System.Text.Json.Serialization;

namespace Fairlead.Batches;

/// <summary>A batch as stored in the database. Immutable.</summary>
internal sealed record BatchRecord
{
    /// <summary><c>batch_…</c></summary>
    public required string Id { get; init; }

    public required string OrganizationId { get; init; }

    /// <summary>Only keys of this project can see it.</summary>
    public required string ProjectId { get; init; }

    /// <summary>The key that its lines are charged to.</summary>
    public required string KeyId { get; init; }

    /// <summary>Path of all lines, one of <see cref="BatchEndpointNames"/>.</summary>
    public required string Endpoint { get; init; }

    public required string InputFileId { get; init; }

    /// <summary>Of <see cref="BatchStatus"/>.</summary>
    public required string Status { get; init; }

    /// <summary>How it will end, once no more lines start; null before.</summary>
    public string? Ending { get; init; }

    /// <summary>The model of all lines; null before they were checked.</summary>
    public string? Model { get; init; }

    public IReadOnlyList<BatchError> Errors { get; init; } = [];

    public string? OutputFileId { get; init; }

    public string? ErrorFileId { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required DateTimeOffset ExpiresAt { get; init; }

    public DateTimeOffset? InProgressAt { get; init; }

    public DateTimeOffset? FinalizingAt { get; init; }

    public DateTimeOffset? CancellingAt { get; init; }

    public DateTimeOffset? EndedAt { get; init; }

    /// <summary>Number of lines; 0 before they were counted.</summary>
    public int Total { get; init; }

    /// <summary>Lines with a response, and lines that failed; of a running batch so far.</summary>
    public int Done { get; init; }

    public int Failures { get; init; }

    public BatchUsage? Usage { get; init; }

    public IReadOnlyDictionary<string, string>? Metadata { get; init; }

    /// <summary>How long its output files are stored; null for the server's setting.</summary>
    public TimeSpan? OutputTtl { get; init; }

    /// <summary>Lines handed to the queue of jobs so far.</summary>
    public int FedLines { get; init; }

    /// <summary>Where in the input file the next one starts.</summary>
    public long FedOffset { get; init; }

    /// <summary>The <c>Idempotency-Key</c> with which it was created, or null.</summary>
    public string? IdempotencyKey { get; init; }

    /// <summary>Hash of the request that created it.</summary>
    public byte[] Fingerprint { get; init; } = [];

    public bool IsFinal => EndedAt is not null;
}

/// <summary>Why a batch cannot be run: an error of its file.</summary>
/// <param name="Code">Such as <c>invalid_json_line</c>.</param>
/// <param name="Message">For people.</param>
/// <param name="Param">The invalid member, or null.</param>
/// <param name="Line">Number of the line from 1, or null for the whole file.</param>
internal sealed record BatchError(string Code, string Message, string? Param, int? Line);

/// <summary>Tokens of all lines with a response.</summary>
internal sealed record BatchUsage(long InputTokens, long CachedTokens, long OutputTokens, long ReasoningTokens)
{
    public static readonly BatchUsage None = new(0, 0, 0, 0);

    public static BatchUsage operator +(BatchUsage left, BatchUsage right) => new(
        left.InputTokens + right.InputTokens, left.CachedTokens + right.CachedTokens, left.OutputTokens + right.OutputTokens,
            left.ReasoningTokens + right.ReasoningTokens);
}

[JsonSerializable(typeof(IReadOnlyList<BatchError>))]
[JsonSerializable(typeof(IReadOnlyDictionary<string, string>))]
[JsonSerializable(typeof(BatchUsage))]
internal sealed partial class BatchJsonContext : JsonSerializerContext;
