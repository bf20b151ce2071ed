namespace Fairlead.Auditing.Content;

/// <summary>The content of one call as stored.</summary>
/// <param name="Node">The node of its record.</param>
/// <param name="Sequence">Number of its record in the chain of the node.</param>
/// <param name="At">Time of the record, in milliseconds since 1970.</param>
/// <param name="OrganizationId">The organization of the record.</param>
/// <param name="Hash">SHA-256 of the content, which the record has too.</param>
/// <param name="Form">How <paramref name="Data"/> is written.</param>
/// <param name="Data">The content; null if it was removed.</param>
internal sealed record ContentRow(
    string Node, long Sequence, long At, string OrganizationId, byte[] Hash, ContentForm Form, byte[]? Data)
{
    /// <summary>The statement that it was removed: <see cref="ContentRemoval"/>; null if it was not.</summary>
    public string? Removal { get; init; }
}

/// <summary>How content is stored. The numbers are stored and are never reused.</summary>
internal enum ContentForm
{
    /// <summary>Compressed with Brotli.</summary>
    Compressed = 1,

    /// <summary>Compressed, then encrypted with the key ring.</summary>
    Encrypted = 2,
}
