namespace Fairlead.Routing;

/// <summary>How a call comes to a deployment.</summary>
/// <param name="IsFirst">Whether it is the first of the order.</param>
internal readonly record struct DeploymentVisit(bool IsFirst)
{
    /// <summary>Whether the call waited for a slot there, and has it.</summary>
    public bool HasWaited { get; init; }

    /// <summary>Retries that it had there before it waited.</summary>
    public int Retries { get; init; }
}
