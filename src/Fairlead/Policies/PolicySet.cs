using System.Collections.Concurrent;
using Fairlead.Access;
using Fairlead.Policies.Matching;

namespace Fairlead.Policies;

/// <summary>A policy with its owner.</summary>
/// <param name="Definition">The policy.</param>
/// <param name="Owner">Whose calls it applies to.</param>
internal sealed record OwnedPolicy(PolicyDefinition Definition, PolicyOwner Owner);

/// <summary>
/// All policies in force at one moment. A caller gets those of the installation, then those of its organization, its project and its key:
/// each is applied, so none can loosen another. Callers with the same policies share one compiled form. Immutable; thread-safe.
/// </summary>
internal sealed class PolicySet
{
    public static readonly PolicySet Empty = new([]);

    private readonly OwnedPolicy[] _policies;
    private readonly ConcurrentDictionary<string, CompiledPolicies> _compiled = new(StringComparer.Ordinal);

    public PolicySet(IEnumerable<OwnedPolicy> policies) =>
        _policies = [.. policies.OrderBy(policy => policy.Owner.Rank).ThenBy(policy => policy.Definition.Id, StringComparer.Ordinal)];

    /// <summary>Whether there is no policy at all.</summary>
    public bool IsEmpty => _policies.Length == 0;

    /// <summary>The policies of a caller; null if none applies.</summary>
    public CompiledPolicies? Of(Caller caller)
    {
        // A model that judges must not be judged.
        if (IsEmpty || ReferenceEquals(caller, OperatorCaller.Judges)) return null;
        if (caller.Policies is { } known && ReferenceEquals(known.Set, this)) return known.Rules;
        var resolved = new ResolvedPolicies(this, Resolve(caller));
        caller.Policies = resolved;
        return resolved.Rules;
    }

    private CompiledPolicies? Resolve(Caller caller)
    {
        var own = Array.FindAll(_policies, policy => AppliesTo(policy.Owner, caller));
        if (own.Length == 0) return null;
        var key = string.Join(' ', own.Select(policy => policy.Definition.Id));
        return _compiled.GetOrAdd(
            key, static (_, policies) => CompiledPolicies.Compile([.. policies.Select(policy => policy.Definition)]), own);
    }

    private static bool AppliesTo(PolicyOwner owner, Caller caller) => owner switch
    {
        { KeyId: { } key } => key == caller.KeyId,
        { ProjectId: { } project } => project == caller.ProjectId,
        { OrganizationId: { } organization } => organization == caller.OrganizationId,
        _ => true,
    };
}

/// <summary>The policies of a caller, and the set that they are from.</summary>
/// <param name="Set">The set.</param>
/// <param name="Rules">Null if none applies.</param>
internal sealed record ResolvedPolicies(PolicySet Set, CompiledPolicies? Rules);
