using Fairlead.Pipeline;

namespace Fairlead.Identity;

/// <summary>
/// The model that the requested name stands for, its pin, and where it runs: after a change of the configuration, the same name may stand
/// for another model.
/// </summary>
internal sealed class ModelIdentity : IIdentityPart
{
    public void Add(GatewayCall call, IdentityHash hash)
    {
        hash.Add(call.Model.Id);
        var deployments = call.Model.Deployments;
        hash.Length(deployments.Count);
        for (var i = 0; i < deployments.Count; i++)
        {
            hash.Add(deployments[i].ProviderName);
            hash.Add(deployments[i].UpstreamModel);
        }
    }
}
