using Fairlead.Conversation;

namespace Fairlead.Generations;

/// <summary>
/// Finds, lists and cancels the stored generations of a project. A change is committed when its method returns. Thread-safe.
/// </summary>
/// <remarks>All members throw the exceptions that <see cref="Storage.StorageErrors"/> classifies if the database is unavailable.</remarks>
internal interface IGenerationStore
{
    /// <summary>
    /// Null if the project has no generation of this id, or it has expired. Only the requested bodies are read, because they may be large.
    /// </summary>
    /// <param name="projectId">The project.</param>
    /// <param name="id">Id of the generation.</param>
    /// <param name="bodies">Bodies to read.</param>
    /// <param name="count">
    /// Called with the length of the bodies before they are read; throws if the process has no memory for them. Null to count nothing.
    /// </param>
    /// <param name="cancellationToken">Stops the query.</param>
    Task<GenerationRecord?> FindAsync(
        string projectId, string id, GenerationBodies bodies, Action<long>? count, CancellationToken cancellationToken);

    /// <summary>Status and other short columns. Null if the project has no generation of this id, or it has expired.</summary>
    Task<GenerationRecord?> FindAsync(string projectId, string id, CancellationToken cancellationToken) =>
        FindAsync(projectId, id, GenerationBodies.None, null, cancellationToken);

    /// <summary>
    /// A generation that has expired, as long as its result is in the database: for a reader that started before. Null if it is gone or was
    /// deleted.
    /// </summary>
    Task<GenerationRecord?> FindExpiredAsync(
        string projectId, string id, GenerationBodies bodies, Action<long>? count, CancellationToken cancellationToken);

    /// <summary>Which of these generations the project has. Those that have expired at that time are not among them.</summary>
    Task<IReadOnlySet<string>> KnownAsync(
        string projectId, IReadOnlyCollection<string> ids, DateTimeOffset now, CancellationToken cancellationToken);

    /// <summary>
    /// Newest first, without bodies. Looks at a limited number of rows, so that a filter that few of them match costs no more than others.
    /// </summary>
    Task<GenerationRows> ListAsync(GenerationFilter filter, CancellationToken cancellationToken);

    /// <summary>Number of generations in the queue before this one.</summary>
    Task<int> PositionAsync(GenerationRecord record, CancellationToken cancellationToken);

    /// <summary>
    /// Ends a queued generation as <paramref name="end"/> says, or requests the end of a running one. Does nothing if it has ended. Returns
    /// the status from before, or null if the project has no generation of this id.
    /// </summary>
    Task<GenerationStatus?> CancelAsync(string projectId, string id, GenerationEnd end, CancellationToken cancellationToken);
}

/// <param name="Rows">Those that match; fewer than the limit when the search stopped at its maximum of rows.</param>
/// <param name="Last">Id of the last row that was looked at; null if there are no more.</param>
internal sealed record GenerationRows(IReadOnlyList<GenerationRecord> Rows, string? Last);

/// <summary>Which bodies of a generation are read with it.</summary>
[Flags]
internal enum GenerationBodies
{
    /// <summary>Only status and other short columns.</summary>
    None = 0,

    /// <summary>The request.</summary>
    Request = 1,

    /// <summary>The result, its details and, while it runs, its progress.</summary>
    Result = 2,
}
