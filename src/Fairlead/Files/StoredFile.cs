namespace Fairlead.Files;

/// <summary>A file of a project, without its content. Immutable.</summary>
internal sealed record StoredFile
{
    /// <summary><c>file-…</c></summary>
    public required string Id { get; init; }

    public required string OrganizationId { get; init; }

    /// <summary>Only keys of this project can see it.</summary>
    public required string ProjectId { get; init; }

    /// <summary>The sender's name for it: a name to show, never a path.</summary>
    public required string FileName { get; init; }

    /// <summary>One of <see cref="FilePurposes"/>.</summary>
    public required string Purpose { get; init; }

    /// <summary>Length of the content.</summary>
    public long Bytes { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>From when on it counts as deleted.</summary>
    public required DateTimeOffset ExpiresAt { get; init; }
}

/// <summary>Purposes of files, by OpenAI's names.</summary>
internal static class FilePurposes
{
    public const string Batch = "batch";

    /// <summary>Written by batches: responses, or errors.</summary>
    public const string BatchOutput = "batch_output";

    /// <summary>Purposes that may be uploaded.</summary>
    public static readonly IReadOnlyList<string> Uploaded = [Batch, "user_data", "vision", "assistants", "fine-tune", "evals"];

    public static readonly IReadOnlyList<string> All = [.. Uploaded, BatchOutput];
}
