namespace Fairlead.Auditing.Content;

/// <summary>Content as the database gets it.</summary>
/// <param name="Hash">SHA-256 of the content.</param>
/// <param name="Form">How the data is written.</param>
/// <param name="Data">The data.</param>
internal sealed record SealedContent(byte[] Hash, ContentForm Form, byte[] Data);
