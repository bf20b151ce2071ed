namespace Fairlead.Access;

/// <summary>How much of the content of calls their audit records have. In the order of strictness, the strictest first.</summary>
internal enum AuditContent
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Its hash: whether a text is the same, not what it says.</summary>
    Hash,

    /// <summary>The text without what the content policy redacts.</summary>
    Redacted,

    /// <summary>The whole text.</summary>
    Full,
}

/// <summary>Its names on the wire and in the database.</summary>
internal static class AuditContents
{
    /// <summary>In the order of <see cref="AuditContent"/>.</summary>
    public static IReadOnlyList<string> Names { get; } = ["none", "hash", "redacted", "full"];

    /// <summary>The value of a name; null for every other text.</summary>
    public static AuditContent? Find(string? name)
    {
        for (var i = 0; i < Names.Count; i++)
        {
            if (Names[i] == name) return (AuditContent)i;
        }
        return null;
    }

    /// <summary>The strictest of those that are set, so that nobody below can loosen what is above; null if none is.</summary>
    public static AuditContent? Strictest(AuditContent? organization, AuditContent? project, AuditContent? key = null)
    {
        var found = organization;
        if (project is { } ofProject && (found is null || ofProject < found)) found = ofProject;
        if (key is { } ofKey && (found is null || ofKey < found)) found = ofKey;
        return found;
    }
}
