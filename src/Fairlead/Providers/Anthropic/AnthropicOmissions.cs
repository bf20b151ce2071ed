using Fairlead.Pipeline;

namespace Fairlead.Providers.Anthropic;

/// <summary>Content of a message that the canonical model cannot represent: left out with a warning.</summary>
internal static class AnthropicOmissions
{
    public static void Citation(GatewayCall call) =>
        call.Warn("citations_omitted", "This API cannot represent citations of documents; they were left out.");

    /// <summary>A block that exists only at Anthropic, such as the steps of its own tools.</summary>
    public static void Block(GatewayCall call) =>
        call.Warn("output_omitted", "The model returned a kind of output that this API cannot represent; it was left out.");
}
