using Fairlead.Pipeline;
using Fairlead.Providers.ChatClient;

namespace Fairlead.Identity;

/// <summary>
/// The project: results are shared inside it only. An app's own models see the caller and may use it, so with them results are shared
/// inside the key only. Work in progress may be shared with the other organizations that agree, too.
/// </summary>
internal sealed class CallerIdentity : IIdentityPart
{
    public void Add(GatewayCall call, IdentityHash hash)
    {
        hash.Add(call.Caller.OrganizationId);
        hash.Add(call.Caller.ProjectId);
        hash.Add(call.Caller.ApiVersion);
        hash.Add(SeesCaller(call) ? call.Caller.KeyId : null);
    }

    /// <summary>The same for work in progress: all organizations that agree to share have one identity.</summary>
    public static void AddForSharing(GatewayCall call, IdentityHash hash)
    {
        hash.Add((string?)null);
        hash.Add("shared across organizations");
        hash.Add(call.Caller.ApiVersion);
    }

    /// <summary>Whether the call shares its work in progress with other organizations that agree too.</summary>
    public static bool SharesAcrossOrganizations(GatewayCall call) => call.Caller.SharesAcrossOrganizations && !SeesCaller(call);

    private static bool SeesCaller(GatewayCall call)
    {
        var isOwn = false;
        var deployments = call.Model.Deployments;
        for (var i = 0; i < deployments.Count; i++) isOwn |= deployments[i].Provider?.Kind == ChatClientProvider.KindName;
        return isOwn;
    }
}
