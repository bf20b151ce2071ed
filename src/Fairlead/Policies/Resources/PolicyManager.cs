namespace Fairlead.Policies.Resources;

/// <summary>Who may change a policy. It does not decide what the policy applies to. The names are on the wire and in the database.</summary>
internal static class PolicyManager
{
    /// <summary>Owners and operators of the installation. Administrators of an organization see the policy, and cannot change it.</summary>
    public const string Installation = "installation";

    /// <summary>Administrators of the organization to which the policy applies too.</summary>
    public const string Organization = "organization";

    public static readonly string[] Names = [Installation, Organization];
}
