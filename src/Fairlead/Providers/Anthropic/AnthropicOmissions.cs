using Fairlead.Pipeline;

namespace Fairlead.Providers.Anthropic;

/// <summary>What a message may hold that the inner language cannot: left out, and said so.</summary>
internal static class AnthropicOmissions
{
    public static void Citation(GatewayCall call) => call.Warn("citations_omitted", "The answer cites documents, which has no form in this dialect; the citations were left out.");

    /// <summary>A block of a kind that only Anthropic knows, such as the steps of its own tools.</summary>
    public static void Block(GatewayCall call) => call.Warn("output_omitted", "The model made a kind of output that this API cannot carry; it was left out.");
}
