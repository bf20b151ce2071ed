namespace Fairlead.Auditing.Blocks;

/// <summary>A block as stored.</summary>
internal sealed record BlockRow
{
    /// <summary>The key of the row; 0 if it is not stored yet.</summary>
    public long Number { get; init; }

    public required string Node { get; init; }

    public required long FirstSequence { get; init; }

    public required int Records { get; init; }

    /// <summary>The earliest time of a record, in milliseconds since 1970.</summary>
    public required long FirstAt { get; init; }

    /// <summary>The latest.</summary>
    public required long LastAt { get; init; }

    /// <summary>The hash of the record before the first.</summary>
    public required byte[] PreviousHash { get; init; }

    /// <summary>The hash of the last record.</summary>
    public required byte[] Hash { get; init; }

    /// <summary>The signed statement which records were removed; null if none was.</summary>
    public string? Removal { get; init; }

    /// <summary>The index: <see cref="BlockTerms"/>.</summary>
    public required byte[] Terms { get; init; }

    /// <summary>The records: <see cref="AuditBlock"/>.</summary>
    public required byte[] Data { get; init; }

    public long LastSequence => FirstSequence + Records - 1;
}
