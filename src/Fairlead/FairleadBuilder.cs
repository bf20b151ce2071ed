using Fairlead.Access;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead;

/// <summary>What <c>AddFairlead</c> returns: the place to register models of one's own.</summary>
public sealed class FairleadBuilder(IServiceCollection services)
{
    /// <summary>The application's services.</summary>
    public IServiceCollection Services { get; } = services;

    /// <summary>
    /// Makes those whom the app's own authentication knows callers of Fairlead, without an API key. Requests for which
    /// <paramref name="find"/> returns null need a key as ever.
    /// </summary>
    /// <param name="find">
    /// Called once for each request, after the app's authentication (<see cref="HttpContext.User"/> is set); from many threads at
    /// once. What it returns may do what its scopes say.
    /// </param>
    public FairleadBuilder UseApplicationCallers(Func<HttpContext, ApplicationCaller?> find)
    {
        ArgumentNullException.ThrowIfNull(find);
        Services.AddSingleton<ICallerSource>(provider => new ApplicationCallerSource(
            find, provider.GetRequiredService<ApplicationCallers>(), ActivatorUtilities.CreateInstance<ApiKeyCallerSource>(provider)));
        return this;
    }
}
