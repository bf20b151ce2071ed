using System.Collections.Frozen;
using System.Net;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Policies;
using Fairlead.Streaming;

namespace Fairlead.Access;

/// <summary>
/// The caller: organization, project and key of a credential. Immutable; all calls of the key share it until the snapshot changes.
/// </summary>
public sealed class Caller
{
    private static readonly FrozenSet<string> AllClasses = CallClasses.All.ToFrozenSet(StringComparer.Ordinal);
    private static long _versions;

    public required string OrganizationId { get; init; }

    public required string OrganizationName { get; init; }

    public required string ProjectId { get; init; }

    public required string ProjectName { get; init; }

    public required string KeyId { get; init; }

    public required string KeyName { get; init; }

    /// <summary>Scopes by endpoint family; <c>*</c> at the end matches every suffix.</summary>
    public required FrozenSet<string> Scopes { get; init; }

    /// <summary>What it may do in administration; null for nothing.</summary>
    internal AdminGrant? Admin { get; init; }

    /// <summary>The organizations that it sees in administration.</summary>
    internal AdminReach Reach => Admin?.Reach ?? default;

    /// <summary>Models that the key may use, by the names that clients send; null for all.</summary>
    public FrozenSet<string>? Models { get; init; }

    /// <summary>Classes that the key may request.</summary>
    public FrozenSet<string> Classes { get; init; } = AllClasses;

    public string DefaultClass { get; init; } = CallClasses.Default;

    /// <summary>Networks from which the key may be used; empty for any.</summary>
    public IReadOnlyList<IPNetwork> Addresses { get; init; } = [];

    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>False when the key's responses omit Fairlead's additions (<c>extensions: "none"</c>).</summary>
    public bool Extensions { get; init; } = true;

    /// <summary>Tokens joined into one chunk of a stream, 1 to 64; null for the server's setting.</summary>
    public int? BatchTokens { get; init; }

    /// <summary>Longest wait for them; null for the server's setting.</summary>
    public TimeSpan? BatchDelay { get; init; }

    /// <summary>By which deployments its streams may be continued; null for the server's setting, which it can only narrow.</summary>
    internal RescueMode? Rescue { get; init; }

    /// <summary>What its calls may do with the cache of responses, by the key, else by the project; null for nothing.</summary>
    internal CacheMode? Cache { get; init; }

    /// <summary>
    /// How much content the audit records of its calls have: the strictest that its organization, project and key say; null if none of them
    /// says anything, so that only the configuration decides. The configuration can be stricter still.
    /// </summary>
    internal AuditContent? AuditContent { get; init; }

    /// <summary>How the content of its calls is recorded in the audit; null for not at all.</summary>
    internal ContentRecording? Recording { get; init; }

    /// <summary>Limits of the organization. Equal limits are one object, also in the next snapshot.</summary>
    internal LimitSet OrganizationLimits { get; init; } = LimitSet.None;

    /// <summary>Limits of the project; see <see cref="OrganizationLimits"/>.</summary>
    internal LimitSet ProjectLimits { get; init; } = LimitSet.None;

    /// <summary>Limits of the key itself, without the defaults of the configuration; see <see cref="OrganizationLimits"/>.</summary>
    internal LimitSet KeyLimits { get; init; } = LimitSet.None;

    /// <summary>The organization's share when organizations compete, 0.01 to 1000.</summary>
    internal decimal OrganizationWeight { get; init; } = 1;

    /// <summary>Whether its calls share work with those of other organizations that agree too.</summary>
    internal bool SharesAcrossOrganizations { get; init; }

    /// <summary>The dated API version the key is pinned to.</summary>
    public string ApiVersion { get; init; } = ApiVersions.Current;

    /// <summary>If the call used a rotated secret, when that secret stops working.</summary>
    public DateTimeOffset? SecretRetiresAt { get; init; }

    /// <summary>Higher for callers of a later snapshot, whose limits replace those of earlier ones.</summary>
    internal long Version { get; } = Interlocked.Increment(ref _versions);

    /// <summary>The content policies that apply to it, found by its first call after a change.</summary>
    internal ResolvedPolicies? Policies { get; set; }

    /// <summary>Where its limits are counted, found by its first call.</summary>
    internal CallerLimits? ResolvedLimits { get; set; }

    /// <summary>
    /// Whether the key has <paramref name="scope"/>, by itself or by a wildcard such as <c>usage:*</c>. Scopes of administration follow from
    /// the role only.
    /// </summary>
    public bool HasScope(string scope)
    {
        if (AdminRoles.IsAdminScope(scope)) return Admin is { } admin && (admin.CanWrite || scope == Access.Scopes.AdminRead);
        if (Scopes.Contains(scope) || Scopes.Contains("*")) return true;
        var colon = scope.IndexOf(':', StringComparison.Ordinal);
        return colon > 0 && Scopes.Contains(string.Concat(scope.AsSpan(0, colon), ":*"));
    }
}
