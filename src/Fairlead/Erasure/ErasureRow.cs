namespace Fairlead.Erasure;

/// <summary>An erasure as stored. Immutable.</summary>
internal sealed record ErasureRow
{
    public const string Prefix = "era_";

    /// <summary>Content only, or audit records too.</summary>
    public const string All = "all";

    public const string Content = "content";

    public const string Queued = "queued";

    public const string Running = "running";

    public const string Completed = "completed";

    public const string Failed = "failed";

    public static readonly IReadOnlyList<string> Scopes = [All, Content];

    /// <summary><c>era_…</c></summary>
    public required string Id { get; init; }

    public string Status { get; init; } = Queued;

    public required ErasureSelector Selector { get; init; }

    /// <summary>One of <see cref="Scopes"/>.</summary>
    public required string What { get; init; }

    /// <summary>Why, in the words of the administrator.</summary>
    public string? Reason { get; init; }

    /// <summary>Calls that were accepted until then are erased, also if their records arrive later.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    public DateTimeOffset? CompletedAt { get; init; }

    /// <summary>The part that runs: the name of a step; empty for the first.</summary>
    public string Step { get; init; } = "";

    /// <summary>How far that part is.</summary>
    public string Cursor { get; init; } = "";

    /// <summary>Tries of the present step that failed.</summary>
    public int Failures { get; init; }

    /// <summary>Why it failed, or will: the kind of the error only. Null if nothing did.</summary>
    public string? Error { get; init; }

    public bool RemovesRecords => What == All;
}
