using Fairlead.Access;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Fairlead.Http;

/// <summary>Answers one admin request; refuses by <see cref="GatewayErrorException"/> as long as nothing was written.</summary>
internal delegate Task AdminHandler(AdminRequest request);

/// <summary>A request whose caller may make it.</summary>
internal sealed class AdminRequest(HttpContext context, Caller caller)
{
    public HttpContext Context { get; } = context;

    public Caller Caller { get; } = caller;

    public CancellationToken Cancellation => Context.RequestAborted;

    /// <summary>The <c>{id}</c> of the path.</summary>
    public string Id => Context.GetRouteValue("id") as string ?? "";

    /// <summary>
    /// Whoever may grant administration could make a key mightier than the one in hand; so only all of it (<c>admin:*</c>)
    /// grants it, and only all of it touches keys that have some.
    /// </summary>
    public void DemandAllOfAdmin(string what)
    {
        if (Caller.Scopes.Contains(Scopes.AdminAll) || Caller.Scopes.Contains("*")) return;
        throw new GatewayErrorException(new GatewayError(ErrorCode.InsufficientScope, $"{what} takes the scope '{Scopes.AdminAll}', which this key lacks."));
    }
}
