using Fairlead.Access;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Tests.Access;

internal static class CallerSourceExtensions
{
    /// <summary>The result for a credential that is recognised from memory. One that waits for something fails the test.</summary>
    public static AuthenticationResult Authenticate(this ICallerSource callers, HttpContext context, string? scope)
    {
        var result = callers.AuthenticateAsync(context, scope);
        return result.IsCompletedSuccessfully ? result.Result : throw new InvalidOperationException("A key must not wait.");
    }
}
