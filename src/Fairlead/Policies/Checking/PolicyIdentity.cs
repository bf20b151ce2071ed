using Fairlead.Identity;
using Fairlead.Pipeline;

namespace Fairlead.Policies.Checking;

/// <summary>
/// The rules that shape the output: results are shared only under equal ones. With placeholders that are restored, each number stands for
/// the values of its own call; the text is the same for all.
/// </summary>
internal sealed class PolicyIdentity : IIdentityPart
{
    public void Add(GatewayCall call, IdentityHash hash) => hash.Add(call.Policy?.Rules.Identity);
}
