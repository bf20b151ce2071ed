namespace Fairlead.Limits.Budgets;

/// <summary>Times of leases.</summary>
internal sealed record BudgetLeaseOptions
{
    /// <summary>
    /// Gets the time without a sign of life after which the lease of a process counts as used. Default 10 minutes;
    /// <c>limits.writeOffAfter</c> in the server.
    /// </summary>
    public Func<TimeSpan> WriteOffAfter { get; init; } = static () => LimitsConfig.Default.WriteOffAfter;

    /// <summary>
    /// After this time, a lease is released that was written off because a record of its process was invalid. Default 24 hours.
    /// </summary>
    public TimeSpan ReleaseAfter { get; init; } = TimeSpan.FromHours(24);

    /// <summary>What a process has not used for this time is returned. Default 5 s.</summary>
    public TimeSpan IdleAfter { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a request for a budget waits for other nodes to return what they do not use. Default 1 s.</summary>
    public TimeSpan AskTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long it waits until the calls of this node's earlier process are in the ledger. Default 10 s.</summary>
    public TimeSpan ReplayTimeout { get; init; } = TimeSpan.FromSeconds(10);
}
