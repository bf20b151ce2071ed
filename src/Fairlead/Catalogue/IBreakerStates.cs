namespace Fairlead.Catalogue;

/// <summary>The circuit breakers of deployments on this node, for those who show them. Thread-safe.</summary>
internal interface IBreakerStates
{
    /// <summary>The state of a deployment's breaker; closed for one that is not known.</summary>
    /// <param name="deployment">Its name, <c>provider/upstream-model</c>.</param>
    BreakerState Find(string deployment);
}

/// <summary>The state of a breaker at one moment.</summary>
/// <param name="IsOpen">Whether no call goes there, apart from tests.</param>
/// <param name="OpenedAt">When it opened; null while it is closed.</param>
/// <param name="NextTestAt">When the next call may test it, now if one is due; null while it is closed.</param>
internal sealed record BreakerState(bool IsOpen, DateTimeOffset? OpenedAt, DateTimeOffset? NextTestAt)
{
    public static readonly BreakerState Closed = new(false, null, null);
}
