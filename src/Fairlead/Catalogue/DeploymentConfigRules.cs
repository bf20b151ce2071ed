using Fairlead.Configuration;
using Fairlead.Providers;

namespace Fairlead.Catalogue;

/// <summary>Deployments inherit the timeouts of their provider.</summary>
internal sealed class DeploymentConfigRules : ConfigRules
{
    public override GatewayConfiguration Complete(GatewayConfiguration configuration)
    {
        var models = configuration.Models.ToDictionary(m => m.Key, m => Complete(m.Value), StringComparer.Ordinal);
        return configuration.With<IReadOnlyDictionary<string, ModelConfig>>(models);

        ModelConfig Complete(ModelConfig model) => model with { Deployments = [.. model.Deployments.Select(Inherit)] };

        DeploymentConfig Inherit(DeploymentConfig deployment)
        {
            if (deployment.Timeouts is not { } own) return deployment;
            var provider = configuration.Providers.GetValueOrDefault(deployment.Provider)?.Timeouts ?? ProviderTimeouts.Default;
            return deployment with { Timeouts = own.Over(provider) };
        }
    }
}
