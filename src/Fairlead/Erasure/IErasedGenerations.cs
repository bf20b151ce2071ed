namespace Fairlead.Erasure;

/// <summary>Generations whose content was erased. Thread-safe.</summary>
internal interface IErasedGenerations
{
    /// <summary>Whether an erasure has found a generation of the project.</summary>
    Task<bool> ContainsAsync(string projectId, string generationId, CancellationToken cancellationToken);
}
