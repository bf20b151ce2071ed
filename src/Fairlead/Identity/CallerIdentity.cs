using Fairlead.Pipeline;
using Fairlead.Providers.ChatClient;

namespace Fairlead.Identity;

/// <summary>
/// The project: results are shared inside it only. An app's own models see the caller and may use it, so with them results are shared
/// inside the key only.
/// </summary>
internal sealed class CallerIdentity : IIdentityPart
{
    public void Add(GatewayCall call, IdentityHash hash)
    {
        hash.Add(call.Caller.OrganizationId);
        hash.Add(call.Caller.ProjectId);
        hash.Add(call.Caller.ApiVersion);
        var isOwn = false;
        var deployments = call.Model.Deployments;
        for (var i = 0; i < deployments.Count; i++) isOwn |= deployments[i].Provider?.Kind == ChatClientProvider.KindName;
        hash.Add(isOwn ? call.Caller.KeyId : null);
    }
}
