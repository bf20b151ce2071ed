using Fairlead.Access;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Fairlead.Http;

/// <summary>Serves one admin request; refuses it by <see cref="GatewayErrorException"/> as long as nothing was written.</summary>
internal delegate Task AdminHandler(AdminRequest request);

/// <summary>A request whose caller is allowed to make it.</summary>
internal sealed class AdminRequest(HttpContext context, Caller caller)
{
    public HttpContext Context { get; } = context;

    public Caller Caller { get; } = caller;

    public CancellationToken Cancellation => Context.RequestAborted;

    /// <summary>The <c>{id}</c> of the path.</summary>
    public string Id => Context.GetRouteValue("id") as string ?? "";

    /// <summary>
    /// A caller that may grant administration could create a key with more rights than its own. So only a caller with all of it
    /// (<c>admin:*</c>) may grant administration or change keys that have it.
    /// </summary>
    public void DemandAllOfAdmin(string what)
    {
        if (Caller.Scopes.Contains(Scopes.AdminAll) || Caller.Scopes.Contains("*")) return;
        throw new GatewayErrorException(new GatewayError(ErrorCode.InsufficientScope,
            $"{what} requires the scope '{Scopes.AdminAll}', which this key lacks."));
    }
}
