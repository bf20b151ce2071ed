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

    private readonly Entry[] _policies;
    private readonly ConcurrentDictionary<string, Lazy<CompiledPolicies>> _compiled = new(StringComparer.Ordinal);

    /// <param name="policies">The policies.</param>
    /// <param name="previous">What was in force before: what has not changed is not compiled again.</param>
    public PolicySet(IEnumerable<OwnedPolicy> policies, PolicySet? previous = null)
    {
        _policies = [.. policies.OrderBy(policy => policy.Owner.Rank).ThenBy(policy => policy.Definition.Id, StringComparer.Ordinal)
            .Select(policy => policy.Definition with { Level = policy.Owner.Rank } is var definition
                ? new Entry(definition, policy.Owner, CompiledPolicies.IdentityOf(definition)) : null!)];
        if (previous is null) return;
        var known = _policies.Select(policy => policy.Identity).ToHashSet(StringComparer.Ordinal);
        foreach (var (key, compiled) in previous._compiled)
        {
            if (key.Split(' ').All(known.Contains)) _compiled[key] = compiled;
        }
    }

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
        var key = string.Join(' ', own.Select(policy => policy.Identity));
        return _compiled.GetOrAdd(key, static (_, policies) => new Lazy<CompiledPolicies>(
            () => CompiledPolicies.Compile([.. policies.Select(policy => policy.Definition)])), own).Value;
    }

    private sealed record Entry(PolicyDefinition Definition, PolicyOwner Owner, string Identity);

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
