using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Access;

/// <summary>Who is calling, or why nobody we know is.</summary>
internal readonly record struct AuthenticationResult(Caller? Caller, GatewayError? Error)
{
    /// <summary>Whose key was refused, where the secret presented is one of ours: for the audit record.</summary>
    public Caller? Refused { get; init; }
}

/// <summary>
/// Resolves a caller from headers alone, from memory: no database, no body. Thread-safe; called once per request before anything is read.
/// </summary>
internal interface ICallerSource
{
    /// <param name="context">Headers and remote address are read; nothing is written.</param>
    /// <param name="scope">The scope the endpoint demands, or null when any key will do.</param>
    AuthenticationResult Authenticate(HttpContext context, string? scope);
}
