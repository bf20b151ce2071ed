using Fairlead.Access;
using Fairlead.Identity;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;
using Fairlead.Policies.Matching;
using Fairlead.Policies.Moderation;
using Fairlead.Policies.Remote;
using Fairlead.Policies.Resources;
using Fairlead.Security;
using Fairlead.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.Policies;

internal static class PoliciesServiceCollectionExtensions
{
    /// <summary>Content policies: their stages, their resource and their judges. Needs the storage, the callers and the identity.</summary>
    internal static IServiceCollection AddContentPolicies(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<IHostResolver, SystemHostResolver>();
        services.AddMetrics();
        services.AddSingleton<ISchemaStep, PolicySchema>();
        services.AddSingleton<ISchemaStep, PolicyManagerSchema>();
        services.AddSingleton<ISchemaStep, PolicyVersionManagerSchema>();
        services.AddSingleton<VerdictCache>();
        services.AddSingleton<EndpointJudge>();
        services.AddSingleton<ModelJudge>();
        services.AddSingleton<IWindowJudge, RemoteJudge>();
        services.AddSingleton<PolicyBook>();
        services.AddSingleton<PolicyMetrics>();
        services.AddSingleton<PlaceholderShelf>();
        services.AddSingleton<InputCheck>();
        services.AddSingleton<IGatewayStage, ContentPolicyStage>();
        services.AddSingleton<IGatewayStage, PolicyOutputStage>();
        services.AddSingleton<IIdentityPart, PolicyIdentity>();
        services.AddSingleton<IAdminEndpoints, PolicyEndpoints>();
        services.AddSingleton<ModerationCalls>();
        services.AddSingleton<ModerationEndpoints>();
        services.AddHostedService<PolicyRefresher>();
        return services;
    }
}
