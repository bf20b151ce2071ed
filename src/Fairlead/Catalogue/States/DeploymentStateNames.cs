namespace Fairlead.Catalogue.States;

/// <summary>The operational states of a deployment.</summary>
internal static class DeploymentStateNames
{
    /// <summary>Calls go there.</summary>
    public const string Active = "active";

    /// <summary>No new work goes there. What runs there ends.</summary>
    public const string Drained = "drained";

    /// <summary>All states.</summary>
    public static readonly IReadOnlyList<string> All = [Active, Drained];
}
