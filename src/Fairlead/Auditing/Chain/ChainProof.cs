namespace Fairlead.Auditing.Chain;

/// <summary>A signed statement that a chain must fulfil, and where it comes from.</summary>
/// <param name="Source">Such as <c>the checkpoint</c>.</param>
/// <param name="Statement">The statement.</param>
internal sealed record ChainProof(string Source, SignedCheckpoint Statement);
