namespace Fairlead.Auditing.Chain;

/// <summary>A signed statement that a chain must fulfil, and where it comes from.</summary>
/// <param name="Source">Such as <c>the checkpoint</c>.</param>
/// <param name="Statement">The statement.</param>
/// <param name="IsTrusted">Whether it is signed with a trusted key. Others are compared, too, but prove nothing.</param>
internal sealed record ChainProof(string Source, SignedCheckpoint Statement, bool IsTrusted);
