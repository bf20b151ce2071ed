using Fairlead.Pipeline;

namespace Fairlead.Identity;

/// <summary>
/// What shapes the output outside the body: the cap that a budget sets, the check and repair of structured output, headers that are
/// forwarded, and the simulation.
/// </summary>
internal sealed class OutputIdentity : IIdentityPart
{
    public void Add(GatewayCall call, IdentityHash hash)
    {
        hash.Add(call.OutputCap);
        hash.Add(call.Facts.Extension.Structured);
        hash.Add(call.Facts.Structured is not null);
        hash.Add(call.Facts.Structured is { Repairs: true });
        hash.Add(call.AnthropicVersion);
        hash.Add(call.AnthropicBeta);
        hash.Add(call.Simulate);
    }
}
