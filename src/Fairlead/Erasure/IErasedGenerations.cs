namespace Fairlead.Erasure;

/// <summary>Generations whose content was erased. Thread-safe.</summary>
internal interface IErasedGenerations
{
    /// <summary>Whether an erasure has found a generation of the project.</summary>
    /// <param name="projectId">The project.</param>
    /// <param name="generationId">The generation.</param>
    /// <param name="withRecord">Only an erasure that also removes the audit record, or will as soon as it arrives.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    Task<bool> ContainsAsync(string projectId, string generationId, bool withRecord, CancellationToken cancellationToken);
}
