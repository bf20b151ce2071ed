using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>
/// Adds accepted generations. What a method returned from is committed, unless it uses a transaction of its caller. Thread-safe.
/// </summary>
/// <remarks>
/// A commit whose response was lost is repeated until its outcome is known. If the outcome stays unknown, the methods throw
/// <see cref="UnknownCommitException"/>; for other failures of the database see <see cref="StorageErrors"/>.
/// </remarks>
internal interface IGenerationInserter
{
    /// <summary>Adds a queued generation. False if the queue of its project is full; then nothing was written.</summary>
    Task<bool> TryQueueAsync(GenerationRecord record, QueueLimits limits, CancellationToken cancellationToken);

    /// <summary>
    /// Adds a generation: queued, or already running, with a lease of <paramref name="leaseOwner"/> for <paramref name="lease"/>.
    /// </summary>
    Task AddAsync(GenerationRecord record, string? leaseOwner, TimeSpan lease, CancellationToken cancellationToken);

    /// <summary>Adds queued generations in the transaction that is open on <paramref name="connection"/>.</summary>
    Task AddAsync(DbConnection connection, IReadOnlyList<GenerationRecord> records, CancellationToken cancellationToken);
}

/// <summary>Limits of the queue of one project.</summary>
/// <param name="Jobs">Maximum number of jobs.</param>
/// <param name="Bytes">Maximum bytes of their requests together.</param>
internal readonly record struct QueueLimits(int Jobs, long Bytes);
