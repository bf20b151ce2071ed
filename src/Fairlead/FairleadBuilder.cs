using Microsoft.Extensions.DependencyInjection;

namespace Fairlead;

/// <summary>What <c>AddFairlead</c> returns: the place to register models of one's own.</summary>
public sealed class FairleadBuilder(IServiceCollection services)
{
    /// <summary>The application's services.</summary>
    public IServiceCollection Services { get; } = services;
}
