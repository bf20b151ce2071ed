using Fairlead.Errors;

namespace Fairlead.Access;

/// <summary>
/// Who may give rights of administration. Nobody creates, changes, rotates, revokes or deletes a key with more rights than its own: a
/// rotation returns a secret, so whoever can rotate an owner's key becomes an owner.
/// </summary>
internal static class AdminRights
{
    /// <param name="caller">The caller.</param>
    /// <param name="grant">The rights of the key; null for none.</param>
    /// <param name="action">What the caller wants to do, as the start of a sentence.</param>
    /// <exception cref="GatewayErrorException">The caller lacks some of the rights.</exception>
    public static void Require(Caller caller, AdminGrant? grant, string action)
    {
        if (grant is null || caller.Admin?.Includes(grant) == true) return;
        throw Refused($"{action} with the role '{AdminRoles.NameOf(grant.Role)}' requires the same rights, which this caller lacks.");
    }

    /// <exception cref="GatewayErrorException">The caller administers one organization only.</exception>
    public static void RequireInstallation(Caller caller, string action)
    {
        if (caller.Reach.IsAll) return;
        throw Refused($"{action} concerns the whole installation. An organization_admin administers its organization.");
    }

    /// <summary>Why a caller is refused who administers one organization only.</summary>
    public static GatewayError InstallationOnly { get; } = Error(
        "This address concerns the whole installation. An organization_admin administers its organization.");

    /// <summary>Why a caller lacks a scope of administration.</summary>
    public static GatewayError Missing(string scope) => Error(scope == Scopes.AdminRead
        ? $"The caller has no role in administration. Reading needs one of {string.Join(", ", AdminRoles.Names)}."
        : "The caller has no role that may change anything in administration: owner, operator or organization_admin.");

    private static GatewayErrorException Refused(string message) => new(Error(message));

    private static GatewayError Error(string message) => new(ErrorCode.InsufficientScope, message)
    {
        Remedy = "Use a key with the role that the message names, or ask an owner for it.",
    };
}
