using System.Net;
using Fairlead.Access.Tokens;
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

    /// <summary>
    /// Refuses to make a key of administration that outlives the caller, or works from addresses from which the caller does not. Otherwise
    /// whoever has a key for an hour could have one for ever. Callers with tokens end when their identity provider says so, which no key
    /// does, so only owners among them make such keys.
    /// </summary>
    /// <param name="caller">The caller.</param>
    /// <param name="grant">The rights of the key; null for none.</param>
    /// <param name="expiresAt">When the key ends; null for never.</param>
    /// <param name="addresses">The networks from which it works; empty for all.</param>
    /// <param name="action">What the caller wants to do, as the start of a sentence.</param>
    /// <exception cref="GatewayErrorException">The key would be less restricted than the caller.</exception>
    public static void RequireBounds(
        Caller caller, AdminGrant? grant, DateTimeOffset? expiresAt, IReadOnlyCollection<string> addresses, string action)
    {
        if (grant is null) return;
        var what = $"{action} with the role '{AdminRoles.NameOf(grant.Role)}'";
        if (TokenKeyId.Is(caller.KeyId) && caller.Admin?.Role != AdminRole.Owner)
            throw Refused($"{what} requires a key, or a token of an owner: the caller's token ends, and the key would not end with it.");
        if (caller.ExpiresAt is { } end && !(expiresAt <= end))
            throw Refused($"{what} requires that it expires no later than the caller's own key, with the field expires_at.");
        if (caller.Addresses.Count > 0 && !IsWithin(addresses, caller.Addresses))
            throw Refused($"{what} requires that its addresses are among those of the caller's own key.");
    }

    /// <summary>Whether all networks are within others. No networks are all addresses.</summary>
    public static bool IsWithin(IReadOnlyCollection<string> addresses, IReadOnlyCollection<IPNetwork> others) =>
        others.Count == 0 || (addresses.Count > 0 && addresses.Select(IPNetwork.Parse).All(inner => others.Any(outer =>
            outer.BaseAddress.AddressFamily == inner.BaseAddress.AddressFamily && outer.PrefixLength <= inner.PrefixLength
            && outer.Contains(inner.BaseAddress))));

    /// <exception cref="GatewayErrorException">The caller administers one organization only.</exception>
    public static void RequireInstallation(Caller caller, string action)
    {
        if (caller.Reach.IsAll) return;
        throw Refused($"{action} concerns the whole installation. An organization_admin administers its organization.");
    }

    /// <summary>Refuses those who may not cause costs of the installation: administrators of one organization, and auditors, who only read.</summary>
    /// <exception cref="GatewayErrorException">The caller's role does not allow it.</exception>
    public static void RequireSpending(Caller caller, string action)
    {
        RequireInstallation(caller, action);
        if (caller.Admin?.Role == AdminRole.Auditor) throw Refused($"{action} costs money. An auditor reads only.");
    }

    /// <summary>Operators run the installation and need no content. Owners, auditors and administrators of an organization read it.</summary>
    /// <exception cref="GatewayErrorException">The caller's role does not allow it.</exception>
    public static void RequireContent(Caller caller)
    {
        if (caller.Admin?.Role is AdminRole.Owner or AdminRole.Auditor or AdminRole.OrganizationAdmin) return;
        throw Refused("Reading the content of calls requires the role owner, auditor or organization_admin.");
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
