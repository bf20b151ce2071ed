namespace Fairlead.Limits;

/// <summary>What a counter counts.</summary>
/// <param name="Scope">What it belongs to.</param>
/// <param name="OrganizationId">The payer.</param>
/// <param name="ScopeId">Id of the organization, project or key; for <see cref="LimitScope.Model"/> that of the organization.</param>
/// <param name="Model">The model's id for <see cref="LimitScope.Model"/>, else null.</param>
/// <param name="Class">The class whose calls alone it counts, or null.</param>
/// <param name="Name">Which limit.</param>
internal sealed record LimitIdentity(
    LimitScope Scope, string OrganizationId, string ScopeId, string? Model, string? Class, LimitName Name);

/// <summary>
/// The use of one limit. It outlives the snapshots in which the limit is declared. Not thread-safe: <see cref="OrganizationAccounts"/>
/// guards all counters of an organization with one lock.
/// </summary>
internal abstract class LimitCounter(LimitIdentity identity)
{
    public LimitIdentity Identity { get; } = identity;

    public LimitName Name { get; } = identity.Name;

    /// <summary>The declared value in force.</summary>
    public long Limit { get; protected set; }

    /// <summary>False after the limit was removed. What was used is kept in case that it is added again.</summary>
    public bool IsActive { get; set; }

    /// <summary>Whether 80 % or more is used or reserved.</summary>
    public abstract bool IsNear(LimitMoment now);

    /// <summary>Whether nothing would be lost if the counter were created again.</summary>
    public abstract bool IsAtRest(LimitMoment now);

    /// <summary>Whether <see cref="StateAt"/> shows what is used, and not only what this process has used.</summary>
    public virtual bool IsKnown(LimitMoment now) => true;

    public abstract LimitState StateAt(LimitMoment now);

    protected LimitState State(long limit, long used, long reserved, long remaining, long? windowSeconds, DateTimeOffset? resetsAt) =>
        new(Name, Identity.Scope, Identity.ScopeId, Identity.Model, Identity.Class, limit, Math.Max(0, used), Math.Max(0, reserved),
            Math.Max(0, remaining), windowSeconds, resetsAt);
}
