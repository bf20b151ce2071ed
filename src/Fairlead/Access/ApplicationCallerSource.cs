using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Access;

/// <summary>Gets the caller from the app; if the app has none, reads an API key. Thread-safe.</summary>
internal sealed class ApplicationCallerSource(Func<HttpContext, ApplicationCaller?> find, ApplicationCallers callers, ICallerSource keys)
    : ICallerSource
{
    public ValueTask<AuthenticationResult> AuthenticateAsync(HttpContext context, string? scope)
    {
        if (find(context) is not { } known) return keys.AuthenticateAsync(context, scope);
        var caller = callers.Of(known);
        return new(scope is null || caller.HasScope(scope)
            ? new AuthenticationResult(caller, null)
            : new AuthenticationResult(null,
                AdminRoles.IsAdminScope(scope) ? AdminRights.Missing(scope)
                    : new GatewayError(ErrorCode.InsufficientScope, $"The caller lacks the scope '{scope}'.")) { Refused = caller });
    }
}
