using Fairlead.Access;
using Fairlead.Limits.Elastic;

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

    private ElasticLevel? _level;
    private ElasticLevel? _highest;
    private long _highestAt;
    private double _position;
    private double _refillPosition;
    private ElasticRange? _elastic;

    /// <summary>The value in force: the declared one, or for an elastic limit that times its factor.</summary>
    public long Limit { get; protected set; }

    /// <summary>Whether the value in force moves with the load.</summary>
    public bool IsElastic => _elastic is not null;

    /// <summary>The factor in force for the last call.</summary>
    protected decimal Factor { get; private set; } = 1;

    /// <summary>
    /// The factor at which it refills: the highest of those models and classes that share it and made calls lately. Otherwise the calls of a
    /// class that has shrunk would slow down those of the others.
    /// </summary>
    protected decimal RefillFactor { get; private set; } = 1;

    /// <summary>Timestamps for which a call shows that its model and class use the limit.</summary>
    protected virtual long MemoryOfCalls => 0;

    /// <summary>The value that is shown beside the one in force.</summary>
    protected virtual long Base => Limit;

    /// <summary>False after the limit was removed. What was used is kept in case that it is added again.</summary>
    public bool IsActive { get; set; }

    /// <summary>Puts the factor of the calls of a model and class in force. What was used is kept.</summary>
    /// <param name="level">Their level; null for that of the last call.</param>
    /// <param name="now">Timestamp.</param>
    public void Adapt(ElasticLevel? level, long now)
    {
        if (_elastic is null || (level ?? _level) is not { } current) return;
        _level = current;
        var position = current.Position;
        if (level is not null && IsHighest(level, now)) (_highest, _highestAt) = (level, now);
        var refillPosition = Math.Max(position, _highest?.Position ?? position);
        if (position == _position && refillPosition == _refillPosition) return;
        (_position, _refillPosition) = (position, refillPosition);
        (Factor, RefillFactor) = (_elastic.FactorAt(position), _elastic.FactorAt(refillPosition));
        Scaled(now);
    }

    private bool IsHighest(ElasticLevel level, long now) => _highest is not { } highest || ReferenceEquals(highest, level)
        || level.Position >= highest.Position || now - _highestAt > MemoryOfCalls;

    /// <summary>Sets the factors; to be called before the value is applied.</summary>
    protected void SetElastic(ElasticRange? elastic)
    {
        // Factors of 1 move nothing.
        _elastic = elastic is { Min: 1, Max: 1 } ? null : elastic;
        Factor = _elastic?.FactorAt(_position) ?? 1;
        RefillFactor = _elastic?.FactorAt(_refillPosition) ?? 1;
    }

    /// <summary>The declared value times the factor, 1 or more.</summary>
    protected long Scale(long declared) => Scale(declared, Factor);

    /// <summary>The declared value times a factor, 1 or more.</summary>
    protected static long Scale(long declared, decimal factor) =>
        factor == 1 ? declared : Math.Max(1, (long)Math.Min(declared * factor, long.MaxValue / 4));

    /// <summary>Called when the factor has changed.</summary>
    protected virtual void Scaled(long now)
    {
    }

    /// <summary>Whether 80 % or more is used or reserved.</summary>
    public abstract bool IsNear(LimitMoment now);

    /// <summary>Whether nothing would be lost if the counter were created again.</summary>
    public abstract bool IsAtRest(LimitMoment now);

    /// <summary>Whether <see cref="StateAt"/> shows what is used, and not only what this process has used.</summary>
    public virtual bool IsKnown(LimitMoment now) => true;

    public abstract LimitState StateAt(LimitMoment now);

    protected LimitState State(long limit, long used, long reserved, long remaining, long? windowSeconds, DateTimeOffset? resetsAt) =>
        new(Name, Identity.Scope, Identity.ScopeId, Identity.Model, Identity.Class, limit, Math.Max(0, used), Math.Max(0, reserved),
            Math.Max(0, remaining), windowSeconds, resetsAt) { Base = IsElastic ? Base : null };
}
