using Fairlead.Errors;

namespace Fairlead.Access;

/// <summary>
/// Who may grant administration. A caller that may grant it could create a key with more rights than its own, so only a caller with all of
/// it (<c>admin:*</c>) may grant it or change keys that have it.
/// </summary>
internal static class AdminScopes
{
    /// <summary>Whether one of <paramref name="scopes"/> allows administration.</summary>
    public static bool Include(IEnumerable<string> scopes) =>
        scopes.Any(scope => scope == "*" || scope.StartsWith("admin:", StringComparison.Ordinal));

    /// <param name="caller">The caller.</param>
    /// <param name="action">What it wants to do, as the start of a sentence.</param>
    /// <exception cref="GatewayErrorException">The caller lacks <c>admin:*</c>.</exception>
    public static void RequireAll(Caller caller, string action)
    {
        if (caller.Scopes.Contains(Scopes.AdminAll) || caller.Scopes.Contains("*")) return;
        throw new GatewayErrorException(new GatewayError(ErrorCode.InsufficientScope,
            $"{action} requires the scope '{Scopes.AdminAll}', which this key lacks."));
    }
}
