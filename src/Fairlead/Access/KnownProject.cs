using System.Collections.Frozen;
using Fairlead.Limits;
using Fairlead.Pipeline;

namespace Fairlead.Access;

/// <summary>What a project and its organization give to every caller in it. Immutable.</summary>
internal sealed record KnownProject
{
    public required string Id { get; init; }

    public required string Name { get; init; }

    public required string OrganizationId { get; init; }

    public required string OrganizationName { get; init; }

    public CacheMode? Cache { get; init; }

    public AuditContent? AuditContent { get; init; }

    /// <summary>See <see cref="Caller.Recording"/>.</summary>
    public ContentRecording? Recording { get; init; }

    public LimitSet OrganizationLimits { get; init; } = LimitSet.None;

    public LimitSet Limits { get; init; } = LimitSet.None;

    public decimal OrganizationWeight { get; init; } = 1;

    public bool SharesAcrossOrganizations { get; init; }

    /// <summary>A caller of the project whose credential is not stored.</summary>
    public Caller ToCaller(
        string keyId, string keyName, FrozenSet<string> scopes, FrozenSet<string> classes, string defaultClass, AdminGrant? admin) => new()
    {
        KeyId = keyId,
        KeyName = keyName,
        Scopes = scopes,
        Classes = classes,
        DefaultClass = defaultClass,
        Admin = admin,
        ProjectId = Id,
        ProjectName = Name,
        OrganizationId = OrganizationId,
        OrganizationName = OrganizationName,
        Cache = Cache,
        AuditContent = AuditContent,
        Recording = Recording,
        OrganizationLimits = OrganizationLimits,
        ProjectLimits = Limits,
        OrganizationWeight = OrganizationWeight,
        SharesAcrossOrganizations = SharesAcrossOrganizations,
    };
}
