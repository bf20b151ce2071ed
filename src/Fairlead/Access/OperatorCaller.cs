using System.Collections.Frozen;

namespace Fairlead.Access;

/// <summary>The operator as the caller of what the gateway does for itself. It belongs to no organization in the store.</summary>
internal static class OperatorCaller
{
    /// <summary>The organization that pays for it.</summary>
    public const string OrganizationId = "org_operator";

    /// <summary>The models that judge texts for content policies.</summary>
    public static readonly Caller Judges = new()
    {
        OrganizationId = OrganizationId,
        OrganizationName = "operator",
        ProjectId = EnvironmentKey.ProjectId,
        ProjectName = "operator",
        KeyId = "key_policy",
        KeyName = "judges of content policies",
        Scopes = FrozenSet<string>.Empty,
    };

    /// <summary>The probes of deployments.</summary>
    public static readonly Caller Probes = new()
    {
        OrganizationId = OrganizationId,
        OrganizationName = "operator",
        ProjectId = EnvironmentKey.ProjectId,
        ProjectName = "operator",
        KeyId = "key_probe",
        KeyName = "probes of deployments",
        Scopes = FrozenSet<string>.Empty,
    };
}
