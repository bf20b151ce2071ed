using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Access;

/// <summary>The caller, or why the request is refused.</summary>
internal readonly record struct AuthenticationResult(Caller? Caller, GatewayError? Error)
{
    /// <summary>The caller whose key was refused, if the secret is one of this server: for the audit record.</summary>
    public Caller? Refused { get; init; }
}

/// <summary>
/// Resolves a caller from headers alone, from memory: no database, no body. Only a token whose issuer has new signing keys waits for them.
/// Thread-safe; called once per request before the body is read.
/// </summary>
internal interface ICallerSource
{
    /// <param name="context">Only headers and remote address are read; nothing is written.</param>
    /// <param name="scope">The scope that the endpoint requires, or null when any key is accepted.</param>
    ValueTask<AuthenticationResult> AuthenticateAsync(HttpContext context, string? scope);
}
