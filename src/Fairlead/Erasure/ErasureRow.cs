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

    /// <summary>
    /// What could not be erased, and why: the kind of the error only. Null if all was. <see cref="NotFound"/> and <see cref="NotCleaned"/>
    /// let an erasure complete; with anything else it has failed.
    /// </summary>
    public string? Error { get; init; }

    /// <summary>What the erasure waits for: the store that does not respond, or the nodes whose records only they can remove.</summary>
    public string? WaitingFor { get; init; }

    /// <summary>How often all stores were erased while one of them was left out.</summary>
    public int Rounds { get; init; }

    /// <summary>No store has the generation.</summary>
    public const string NotFound = "generation_not_found";

    /// <summary>What was deleted may still be in the files of the database.</summary>
    public const string NotCleaned = "files_not_cleaned";

    /// <summary>A block of the audit that may have selected records is damaged.</summary>
    public const string BlockUnreadable = "audit_block_unreadable";

    public bool RemovesRecords => What == All;
}
