namespace Fairlead.Scheduling;

/// <summary>A deployment at one moment.</summary>
internal sealed record DeploymentLoad
{
    /// <summary>Attempts that may run at the same time now; null for no limit.</summary>
    public int? Limit { get; init; }

    /// <summary>Attempts that run.</summary>
    public int InFlight { get; init; }

    /// <summary>Calls that wait for it, of all models.</summary>
    public int Queued { get; init; }

    /// <summary>How long the provider's own limits leave no room for a call; zero if they do.</summary>
    public TimeSpan Held { get; init; }

    /// <summary>Requests that the provider's own limits leave; null if it does not report them.</summary>
    public double? RequestsLeft { get; init; }

    /// <summary>Tokens that the provider's own limits leave; null if it does not report them.</summary>
    public double? TokensLeft { get; init; }

    public DeploymentStatistics Statistics { get; init; } = new();
}
