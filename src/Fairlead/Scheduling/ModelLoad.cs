namespace Fairlead.Scheduling;

/// <summary>What the calls of a model find at its deployments now.</summary>
/// <param name="Queued">Calls of the model that wait.</param>
/// <param name="IsLimited">
/// Whether a deployment has less room than was configured: its learned limit is below <c>maxConcurrency</c>, or the provider's own limits
/// are used up.
/// </param>
/// <param name="RateLimited">Responses with status 429 since the start of the process.</param>
/// <param name="Use">Part of the slots that is in use; 0 if a deployment has no limit.</param>
internal readonly record struct ModelLoad(int Queued, bool IsLimited, long RateLimited, double Use);
