using Fairlead.Providers.Anthropic;
using Fairlead.Providers.Gemini;
using Fairlead.Providers.OpenAi;
using Fairlead.Providers.Simulated;

namespace Fairlead.Providers;

/// <summary>The one registration of the kinds that ship with Fairlead. The order is that of the schema and the documentation.</summary>
internal static class BuiltInProviderKinds
{
    public static readonly IReadOnlyList<ProviderKind> All =
    [
        .. OpenAiProviderKinds.All,
        AnthropicProviderKind.Instance,
        GeminiProviderKind.Instance,
        new SimulatedProviderKind(),
    ];
}
