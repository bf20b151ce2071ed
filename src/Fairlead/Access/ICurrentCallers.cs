namespace Fairlead.Access;

/// <summary>The callers of the newest snapshot, for work that began with an earlier one. Thread-safe.</summary>
internal interface ICurrentCallers
{
    /// <summary>Another object after every change.</summary>
    object? Version { get; }

    Caller? Find(string keyId);
}
