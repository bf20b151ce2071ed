namespace Fairlead.Providers;

/// <summary>What a provider responded to a request for a path.</summary>
/// <param name="Status">Its HTTP status; null for none within the time.</param>
/// <param name="HasOtherKey">Whether it rejected the key, and another one may be used.</param>
internal readonly record struct PathResponse(int? Status, bool HasOtherKey = false);
