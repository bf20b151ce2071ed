namespace Fairlead.Erasure;

/// <summary>
/// A store of content, which erases what belongs to selected calls. Every store that keeps anything of a request or a response beyond its
/// end has one. Thread-safe.
/// </summary>
internal interface IErasable
{
    /// <summary>Its name in the counts of an erasure; unique.</summary>
    string Name { get; }

    /// <summary>Stores are erased in this order: what finds something comes before what it finds it by.</summary>
    int Order { get; }

    /// <summary>The tables of the database that lose rows or content.</summary>
    IReadOnlyList<string> Tables { get; }

    /// <summary>
    /// Erases a portion of limited size. Repeatable: a process may die after it, and then another one does the same portion again.
    /// </summary>
    /// <param name="target">What is erased.</param>
    /// <param name="cursor">Where the last portion ended; empty for the first.</param>
    /// <param name="cancellationToken">Stops between two transactions.</param>
    Task<ErasureStep> EraseAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken);
}

/// <summary>Finds the generations of selected calls, by which other stores know what belongs to them. Thread-safe.</summary>
internal interface IErasureSource
{
    /// <summary>Unique among the sources.</summary>
    string Name { get; }

    /// <summary>Looks at a portion of limited size.</summary>
    Task<FoundCalls> FindAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken);
}

/// <param name="Count">How many things were erased.</param>
/// <param name="Next">Where the next portion starts; null after the last.</param>
/// <param name="Pause">How long to wait before it: something still runs that is to be erased.</param>
/// <param name="LeftOut">
/// What the store could not erase yet, and will be asked for again after all others: a name for the administrator, such as that of a node.
/// </param>
internal readonly record struct ErasureStep(int Count, string? Next, TimeSpan Pause = default, string? LeftOut = null);

/// <param name="Calls">The calls that were found.</param>
/// <param name="Next">Where the next portion starts; null after the last.</param>
internal sealed record FoundCalls(IReadOnlyList<FoundCall> Calls, string? Next);

/// <param name="GenerationId">The generation.</param>
/// <param name="ProjectId">Its project.</param>
/// <param name="Block">The audit block that has its record; null if it was found elsewhere.</param>
internal readonly record struct FoundCall(string GenerationId, string ProjectId, ErasedBlock? Block = null);

/// <param name="Node">The node of the chain.</param>
/// <param name="Number">The key of the block's row.</param>
internal readonly record struct ErasedBlock(string Node, long Number);
