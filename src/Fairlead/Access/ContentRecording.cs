namespace Fairlead.Access;

/// <summary>
/// How the content of a caller's calls is recorded in the audit: the strictest of the configuration, the organization, the project and the
/// key. Immutable; a caller without one records nothing.
/// </summary>
/// <param name="Level">Hash, redacted or full.</param>
/// <param name="MaxBytes">Maximum bytes of content of one call.</param>
internal sealed record ContentRecording(AuditContent Level, int MaxBytes);

/// <summary>What the configuration says about that. Thread-safe.</summary>
internal interface IContentRecordings
{
    /// <summary>Another object after each change of the configuration.</summary>
    object Version { get; }

    /// <summary>How the content of a caller is recorded; null for not at all.</summary>
    /// <param name="level">The strictest of its organization, project and key; null if none of them says anything.</param>
    ContentRecording? Of(AuditContent? level);

    /// <summary>How long content is stored by the configuration; null for ever.</summary>
    TimeSpan? Retention { get; }
}
