namespace Fairlead.Pipeline;

/// <summary>
/// The audit records of calls that have ended. A call of this node is found at once, one of another as soon as its node has written it to
/// the database. Thread-safe.
/// </summary>
internal interface IAuditedCalls
{
    /// <summary>The newest record of a generation of the project.</summary>
    Task<AuditedLookup> FindAsync(string projectId, string generationId, CancellationToken cancellationToken);

    /// <summary>
    /// Waits until the database has every call that this node has ended, once before the calls are listed. False if it does not in time:
    /// then calls may be missing in the list.
    /// </summary>
    Task<bool> CatchUpAsync(CancellationToken cancellationToken);

    /// <summary>Newest first. A generation with several runs has a record of each. Looks only at what the database has.</summary>
    Task<AuditedCallPage> ListAsync(AuditedCallFilter filter, AuditedWork work, CancellationToken cancellationToken);

    /// <summary>
    /// The ids of those records after which their generation ran again. If the work is used up, a later run may not be noticed.
    /// </summary>
    Task<IReadOnlySet<string>> RanAgainAsync(
        string projectId, IReadOnlyCollection<AuditedCall> calls, AuditedWork work, CancellationToken cancellationToken);

    /// <summary>Whether a text may be the <see cref="AuditedCall.Cursor"/> of a record.</summary>
    bool IsCursor(string text);
}

/// <summary>How much one request may still search, in blocks of up to 512 records. For one thread.</summary>
internal sealed class AuditedWork
{
    /// <summary>For the records of a list: four million, about 0.2 s.</summary>
    public int ListBlocks { get; set; } = 8192;

    /// <summary>For later runs of their generations.</summary>
    public int RunBlocks { get; set; } = 4096;
}

/// <summary>One record.</summary>
/// <param name="Id">Its own id.</param>
/// <param name="GenerationId">The call.</param>
/// <param name="At">When the call started, to the millisecond.</param>
/// <param name="Json">The record.</param>
internal sealed record AuditedCall(string Id, string GenerationId, DateTimeOffset At, ReadOnlyMemory<byte> Json)
{
    /// <summary>Whether it is of a run after which another may have followed.</summary>
    public bool MayHaveRunAgain { get; init; }

    /// <summary>Where a list continues after it.</summary>
    public string Cursor { get; init; } = "";
}

/// <summary>What a look-up found.</summary>
/// <param name="Call">Null if there is no record, as far as the database knows.</param>
/// <param name="IsCertain">
/// Whether the database has every call that this node has ended. Otherwise a call that was not found may exist.
/// </param>
internal readonly record struct AuditedLookup(AuditedCall? Call, bool IsCertain);

/// <param name="Calls">At most the limit; fewer when the search stopped at its maximum of work.</param>
/// <param name="Next">Where the search goes on; null at the end.</param>
/// <param name="SearchedTo">Later calls than this have all been seen; null at the end.</param>
internal sealed record AuditedCallPage(IReadOnlyList<AuditedCall> Calls, string? Next, DateTimeOffset? SearchedTo);

/// <summary>Selects the records of a list.</summary>
/// <param name="ProjectId">Only those of this project.</param>
/// <param name="Limit">Maximum number of records.</param>
internal sealed record AuditedCallFilter(string ProjectId, int Limit)
{
    /// <summary>Only calls that ended with one of these outcomes; null for all.</summary>
    public IReadOnlyList<string>? Outcomes { get; init; }

    /// <summary>Only calls of this model of the catalogue; null for all.</summary>
    public string? Model { get; init; }

    public string? Dialect { get; init; }

    /// <summary>Not before.</summary>
    public DateTimeOffset? From { get; init; }

    /// <summary>Before.</summary>
    public DateTimeOffset? To { get; init; }

    /// <summary>The end user that the request names.</summary>
    public string? EndUser { get; init; }

    /// <summary>Pairs that the metadata of the request has.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Metadata { get; init; } = [];

    /// <summary>The <see cref="AuditedCall.Cursor"/> or <see cref="AuditedCallPage.Next"/> after which the list continues.</summary>
    public string? After { get; init; }
}
